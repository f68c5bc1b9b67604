"""Map an agent over a table of prompts, one run for each row: `Agent.map` and `Agent.amap`.

The caller's thread (`job`) reads rows from the input (`items`, `prompts`) and offers them, a
bounded number ahead, to the event loop (`feed`).  There the `engine` runs as many at once as the
`rate_limiter` allows, on an `executor`: this process or a Dask cluster (`cluster_executor`).
Results go into the `outcome` and the `checkpoint`, and are joined to the input (`result_table`).
"""
