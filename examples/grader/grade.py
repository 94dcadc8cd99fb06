"""Grades a submission with tests that the student's code cannot see.

    grade.py SUBMISSION CASES.json

The cases stay outside: inside there is the submission and one call's arguments at a time, so that
no program can read the expected answers or report its own success.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "function"))
from run_function import FunctionError, run_function  # noqa: E402


def grade(submission, cases):
    """One result a case: {"name", "passed", "points", "feedback"}."""
    results = []
    for case in cases:
        try:
            value = run_function(submission, case["function"], *case["arguments"],
                                 wall=case.get("wall", "2s"))
            passed = value == case["expected"]
            feedback = "" if passed else "a wrong answer"
        except FunctionError as error:
            passed, feedback = False, str(error)
        results.append({"name": case["name"], "passed": passed,
                        "points": case["points"] if passed else 0, "feedback": feedback})
    return results


def main():
    with open(sys.argv[2], encoding="utf-8") as f:
        cases = json.load(f)
    results = grade(sys.argv[1], cases)
    for result in results:
        print("{mark}  {name:20} {points:3}  {feedback}".format(
            mark="ok" if result["passed"] else "--", **result))
    print(sum(result["points"] for result in results), "of", sum(case["points"] for case in cases))


if __name__ == "__main__":
    main()
