"""`%%agent` with the name of a function, in a real kernel."""

from __future__ import annotations

import pytest

from tests.notebook.conftest import Kernel

SETUP = """
import functools
import shutil
from math import sqrt
from IPython.core.magic import register_cell_magic

def weather(prompt):
    "Tell the weather."
    return f"Sunny in {prompt}."

def forecast(prompt, context):
    yield "Rain "
    yield f"in {prompt}, turn {len(context.history) // 2 + 1}."

async def aweather(prompt):
    return f"Windy in {prompt}."

async def aforecast(prompt):
    yield f"Snow in {prompt}."

class Station:
    def __call__(self, prompt):
        return f"Fog in {prompt}."
    def read(self, prompt):
        return f"Read {prompt}."

station = Station()
reading = station.read
cached = functools.lru_cache(weather)
partly = functools.partial(lambda kind, prompt: f"{kind} in {prompt}.", "Hail")
rmtree = shutil.rmtree
no_question = lambda: "never"
two_more = lambda a, b, c: "never"

@register_cell_magic
def shout(line, cell):
    raise AssertionError("a magic was asked")
"""


@pytest.fixture(scope="module")
def notebook(kernel: Kernel) -> Kernel:
    assert kernel.run(SETUP).ok
    return kernel


def answer(notebook: Kernel, line: str, question: str = "Bern") -> str:
    cell = notebook.run(f"%%agent {line} -q -o asked\n{question}")
    assert cell.ok, cell.reply
    return notebook.run("print(asked.text, end='')").stdout


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("weather", "Sunny in Bern."),
        ("aweather", "Windy in Bern."),
        ("aforecast", "Snow in Bern."),
        ("station", "Fog in Bern."),
        ("reading", "Read Bern."),
        ("cached", "Sunny in Bern."),
        ("partly", "Hail in Bern."),
    ],
)
def test_a_function_of_that_name_is_asked(notebook: Kernel, name: str, says: str) -> None:
    assert answer(notebook, name) == says


def test_its_conversation_goes_on_from_cell_to_cell(notebook: Kernel) -> None:
    assert answer(notebook, "forecast --new") == "Rain in Bern, turn 1."
    assert answer(notebook, "forecast") == "Rain in Bern, turn 2."
    assert answer(notebook, "forecast --new") == "Rain in Bern, turn 1."


def test_a_function_that_was_defined_anew_is_the_new_one(notebook: Kernel) -> None:
    notebook.run("def changing(prompt): return 'one'")
    assert answer(notebook, "changing") == "one"
    notebook.run("def changing(prompt): return 'two'")
    assert answer(notebook, "changing") == "two"


def test_a_function_is_meant_before_an_alias_as_an_agent_is(notebook: Kernel) -> None:
    notebook.run("def fin(prompt): return 'the function'")
    assert notebook.run("%agent alias fin sandbox:echo").ok
    assert answer(notebook, "fin") == "the function"
    notebook.run("del fin")
    assert answer(notebook, "fin") == "Bern"
    # With a platform it is never a variable.
    notebook.run("def echo(prompt): return 'the function'")
    assert answer(notebook, "sandbox:echo") == "Bern"
    assert answer(notebook, "echo --platform sandbox") == "Bern"
    notebook.run("del echo")


@pytest.mark.parametrize(
    "name",
    [
        "Station",
        "sqrt",
        "rmtree",
        "shout",
        "no_question",
        "two_more",
        "exit",
        "get_ipython",
        "print",
    ],
)
def test_what_is_no_agent_is_never_called(notebook: Kernel, name: str) -> None:
    cell = notebook.run(f"%%agent {name} -q\n/no/such/folder")
    assert cell.reply["status"] == "error"
    assert cell.reply["ename"] == "RunFailedError"
    assert f"'{name}'" in cell.reply["evalue"]


def test_a_function_that_takes_no_question_is_named(notebook: Kernel) -> None:
    cell = notebook.run("%%agent no_question -q\nBern")
    assert "The variable 'no_question' of this notebook is no agent" in cell.reply["evalue"]


@pytest.mark.parametrize("line", ["%agent use weather", "%agent alias w weather"])
def test_a_variable_is_no_default_and_no_alias(notebook: Kernel, line: str) -> None:
    cell = notebook.run(line)
    assert cell.reply["status"] == "error"
    assert "'weather' is a variable of this notebook" in cell.reply["evalue"]


def test_an_agent_of_the_sandbox_stays_reachable_beside_another_callable(notebook: Kernel) -> None:
    notebook.run("class echo: pass")
    assert answer(notebook, "echo") == "Bern"
    notebook.run("del echo")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("wether", "weather"), ("forcast", "forecast"), ("greter", "greeter"), ("ecko", "echo"),
     ("finance_agnet", "finance_agent"), ("my_fn", "my_fin")],
)  # fmt: skip
def test_a_misspelt_name_brings_the_nearest_one(notebook: Kernel, wrong: str, meant: str) -> None:
    assert notebook.run("%agent alias my_fin sandbox:finance_agent").ok
    cell = notebook.run(f"%%agent {wrong} -q\nBern")
    assert cell.reply["status"] == "error"
    assert f"Did you mean '{meant}'?" in cell.reply["evalue"]


def test_a_table_is_asked_of_a_function(notebook: Kernel) -> None:
    cell = notebook.run("%%agent weather --over \"['Bern', 'Chur']\" -o table -q\n{{item}}")
    assert cell.ok, cell.reply
    assert notebook.run("print(*table['answer'], end='')").stdout == "Sunny in Bern. Sunny in Chur."


def test_a_chat_and_a_comparison_take_the_name(notebook: Kernel) -> None:
    code = (
        "talk = get_ipython().run_line_magic('agent', 'chat weather')\n"
        "talk.send('Bern').wait()\n"
        "print(talk.messages[-1]['content'], agentnb.chat('station').conversation.agent.id)\n"
        "both = agentnb.compare(['weather', 'aweather'], 'Bern').wait()\n"
        "print(both.DataFrame()['text'].tolist())"
    )
    cell = notebook.run(code)
    assert cell.ok, cell.reply
    assert cell.stdout == "Sunny in Bern. Station\n['Sunny in Bern.', 'Windy in Bern.']\n"


def test_completion_offers_the_functions(notebook: Kernel) -> None:
    code = (
        "from agentnb.notebook.completion_choices import complete\n"
        "print(complete('%%agent '))\nprint(complete('%agent chat '))"
    )
    for line in notebook.run(code).stdout.splitlines():
        for name in ("weather", "forecast", "aweather", "station", "partly", "greeter"):
            assert f"'{name}'" in line
        for name in ("Station", "sqrt", "rmtree", "shout", "no_question", "exit", "get_ipython"):
            assert f"'{name}'" not in line


def test_structured_output_that_does_not_parse_says_so_in_the_cell(notebook: Kernel) -> None:
    notebook.run("from pydantic import BaseModel\nclass City(BaseModel):\n    name: str")
    cell = notebook.run("%%agent weather --output-type City\nBern")
    assert cell.ok
    (shown,) = cell.of("update_display_data")
    says = "The answer does not match `City`: invalid JSON."
    assert says in shown["data"]["text/plain"]
    assert says in shown["data"]["text/html"]
