"""Map an agent over a table of prompts, one run for each row: `Agent.map` and `Agent.amap`.

The caller's thread (`job`) reads rows from the input and their prompts (`items`) and offers them, a
bounded number ahead, to the event loop.  There it runs as many at once as the `rate_limiter`
allows, on an `executor`: this process or a Dask cluster (`cluster_executor`).  Results go into the
`checkpoint` and are joined to the input (`result_table`).
"""
