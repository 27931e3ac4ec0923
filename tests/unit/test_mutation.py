"""`make mutation`: each mutant meets the tests that can notice it, and those alone."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.mutation.__main__ import IN_PROCESS, PROCESSES, Broken, judge, learn
from tests.mutation.kept import Kept, OfOtherSources, fingerprint
from tests.mutation.mutants import MODULES, ROOT, mutants
from tests.mutation.reach import MARK, Reach, marked

LEASE = "controller/lease.py"
TESTS_OF_THE_LEASE = "tests/unit/controller/test_lease.py"

SOURCE = '''
class Rule:
    def look(self):
        """Says nothing."""
        return [each() for each in (self.inner, other)]

    def inner(self):
        return 1


def other():
    return 2


async def waits():
    return 3
'''


def entered(*calls: str) -> Reach:
    reach, names = Reach(), {}
    names[MARK] = reach.mark
    exec(compile(marked(ast.parse(SOURCE), "rule.py"), "rule.py", "exec"), names)
    for number, call in enumerate(calls):
        reach.begin(f"test {number}")
        eval(call, names)
        reach.end(f"test {number}", 10.0 - number)
    return reach


def test_a_test_reaches_the_functions_it_enters_itself_or_through_others() -> None:
    reach = entered("Rule().look()", "other()", "waits().close()", "None")
    assert reach.tests["test 0"] == {"rule.py:look", "rule.py:inner", "rule.py:other"}
    assert reach.tests["test 1"] == {"rule.py:other"}
    assert reach.tests["test 2"] == set(), "nobody has waited for it"
    assert reach.tests["test 3"] == set()


def test_a_rule_meets_the_tests_that_enter_its_function_the_quickest_first() -> None:
    reach = entered("Rule().look()", "other()", "None")
    assert reach.of("rule.py", "other") == ["test 1", "test 0"]
    assert reach.of("rule.py", "inner") == ["test 0"]
    assert reach.of("another.py", "other") == []


def test_a_rule_that_is_applied_while_no_test_runs_meets_every_test() -> None:
    reach = entered("other()", "None")
    reach.mark("rule.py:inner")
    assert reach.of("rule.py", "inner") == ["test 1", "test 0"]


def test_a_limit_of_a_module_meets_the_tests_that_enter_anything_of_it() -> None:
    reach = entered("other()", "None", "Rule().inner()")
    assert reach.of("rule.py", "") == ["test 2", "test 0"]
    assert reach.of("rule", "") == []


def test_what_several_runs_learned_is_one() -> None:
    one, two = entered("other()"), Reach()
    two.mark("rule.py:look")
    two.begin("test 9")
    two.mark("rule.py:other")
    two.end("test 9", 0.5)
    whole = Reach.told(*(json.loads(json.dumps(reach.said())) for reach in (one, two)))
    assert whole.of("rule.py", "other") == ["test 9", "test 0"]
    assert whole.at_import == {"rule.py:look"}


def test_an_interrupted_run_goes_on_where_it_was_left(tmp_path: Path) -> None:
    file, reach = tmp_path / "kept", entered("other()")
    first = Kept(file)
    assert first.reach is None
    first.learned(reach)
    first.add("rule.py:0", "test 0")
    first.add("rule.py:1", None)
    again = Kept(file)
    assert again.reach == reach
    assert again.killers == {"rule.py:0": "test 0", "rule.py:1": None}


def test_a_run_over_other_sources_does_not_go_on(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    Kept(file).learned(Reach())
    file.write_text(file.read_text().replace(fingerprint(), fingerprint(tmp_path)))
    with pytest.raises(OfOtherSources, match=r"kept is of other sources than these; delete it"):
        Kept(file)


def test_sources_are_others_when_one_of_them_changes_its_name_or_what_it_says(tmp_path: Path) -> None:
    source = tmp_path / "drivers" / "a.py"
    source.parent.mkdir()
    seen = [fingerprint(tmp_path)]
    source.write_text("A = 1")
    seen.append(fingerprint(tmp_path))
    source.write_text("A = 2")
    seen.append(fingerprint(tmp_path))
    source.rename(source.with_name("b.py"))
    seen.append(fingerprint(tmp_path))
    assert len(set(seen)) == 4


def test_every_file_that_is_named_is_there_and_every_module_has_a_rule() -> None:
    outside = {file for stages in PROCESSES.values() for stage in stages for file in stage}
    named = {*MODULES, *IN_PROCESS, *PROCESSES, *outside}
    assert [file for file in sorted(named) if not (ROOT / file).is_file()] == []
    assert {mutant.path for mutant in mutants()} == set(MODULES)


def test_a_rule_taken_out_is_noticed_by_a_test_that_enters_it_and_by_no_other(tmp_path: Path) -> None:
    reach = Reach.told(learn(TESTS_OF_THE_LEASE, tmp_path))
    mutant = next(mutant for mutant in mutants() if mutant.path == LEASE)
    noticing = reach.of(LEASE, mutant.function)
    assert judge(mutant, reach, tmp_path).killer in noticing
    others = Reach(tests={test: set() for test in reach.tests}, took_s=reach.took_s)
    assert judge(mutant, others, tmp_path).killer is None


def test_tests_that_no_longer_exist_have_not_noticed_anything(tmp_path: Path) -> None:
    mutant = next(mutant for mutant in mutants() if mutant.path == LEASE)
    gone = f"{TESTS_OF_THE_LEASE}::test_of_yesterday"
    reach = Reach(tests={gone: {f"{LEASE}:{mutant.function}"}}, took_s={gone: 0.1})
    with pytest.raises(Broken, match="no test was run"):
        judge(mutant, reach, tmp_path)


def test_tests_that_fail_with_nothing_taken_out_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Broken, match=r"test_nothing\.py fails with nothing taken out"):
        learn("tests/unit/test_nothing.py", tmp_path)
