"""The threat model row by row: which tests stand for each, and a table of how they went.

    python3 -B rows.py [--long] [ROW...]     runs all of them, or those of these rows, and prints the table
    python3 -B rows.py --stress [MINUTES]    random calls, then thousands of runs, many at once and one of
                                             MINUTES (60) on each backend (tests/soak.py); no table

A row is `ok` for a backend when every run of its tests there passed; `control` is what natively succeeds, or
with one defence off: a row that has none fails.

--long (VITRINE_LONG=1 for a test by itself) makes them thorough rather than quick, an hour or two in all: 10^8
changes of a path (11), a minute of signals with SA_RESTART and one without (13), 10^5 traps and frames (21), 10^5
threads (22), half a minute of each flood (33), 10^4 children (37), 10 GiB of output (38), each error at each
occurrence of each call (3). (VITRINE and GUESTS as harness.py has them.)"""

import argparse
import collections
import os
import subprocess
import sys
import unittest

sys.path[:0] = ["..", "../integration"]

from harness import BACKENDS, Case  # noqa: E402

# Row, what it says, and the tests: "module.Class" or "module.Class.test".
ROWS = {
    1: ("a filter of the program's own", ["test_start.Start.test_a_filter_of_its_own", "test_calls.Calls.test_dangerous_calls"]),
    2: ("leaked descriptors", ["test_inside.Inside.test_descriptors_at_the_start",
                               "test_inside.Inside.test_descriptors_beyond_the_limit",
                               "test_inside.Inside.test_the_channel_tells_nothing_of_the_supervisor",
                               "test_injected.Injected.test_the_descriptor_channel_cannot_be_closed_or_replaced",
                               "test_start.Start.test_a_command_seen_from_outside",
                               "test_start.Start.test_nothing_of_the_caller"]),
    3: ("a step of the start-up that fails", ["test_faults", "test_start.Start.test_a_command_seen_from_outside"]),
    4: ("executions after the first", ["test_start.Start.test_a_32_bit_program",
                                       "test_refusals.Refusals.test_raw_numbers_are_refused",
                                       "test_refusals.Refusals.test_natively_the_raw_calls_succeed",
                                       "test_calls.Calls.test_arguments_that_name_nothing",
                                       "test_injected.Injected.test_a_failed_execution_says_nothing_of_the_host"]),
    5: ("foreign ABIs", ["test_calls.Calls.test_foreign_numbers_end_the_run",
                         "test_calls.Calls.test_32_bit_code",
                         "test_injected.Injected."
                         "test_an_instruction_of_the_foreign_abi_does_not_hold_up_the_supervisor",
                         "test_refusals.Refusals.test_foreign_entry_ends_the_run",
                         "test_refusals.Refusals.test_natively_the_foreign_entry_works",
                         "test_refusals.Refusals.test_x32_numbers_are_refused"]),
    6: ("every number", ["test_calls.Calls.test_all_numbers"]),
    7: ("upper halves of arguments", ["test_calls.Calls.test_upper_halves"]),
    8: ("clone's flags", ["test_calls.Calls.test_clone_flags"]),
    9: ("dangerous calls", ["test_calls.Calls.test_dangerous_calls"]),
    10: ("vsyscall, shebang, loader, LD_*", ["test_loader", "test_start.Start.test_an_interpreter_that_is_not_shown",
                                             "test_start.Start.test_a_library_that_the_host_preloads"]),
    11: ("a path that is changed meanwhile", ["test_flip"]),
    12: ("links in shown folders", ["test_options.Options.test_links_do_not_lead_out_of_a_shown_folder",
                                    "test_races", "test_calls.Calls.test_modes_of_links"]),
    13: ("signals in served calls", ["test_tasks.Tasks.test_a_timer_of_1_khz",
                                     "test_injected.Injected.test_stopping_and_continuing_changes_nothing"]),
    14: ("strings that are none", ["test_arguments.Arguments.test_strings",
                                   "test_arguments.Arguments.test_rare_arguments",
                                   "test_arguments.Arguments.test_strings_that_a_sibling_takes_away"]),
    15: ("unreadable memory", ["test_calls.Calls.test_dangerous_calls",
                               "test_arguments.Arguments.test_strings"]),
    16: ("output pointers", ["test_arguments.Arguments.test_outputs"]),
    17: ("dirfds", ["test_arguments.Arguments.test_folders", "test_arguments.Arguments.test_a_folder_of_the_callers"]),
    18: ("a descriptor as a lever", ["test_roads.Roads.test_a_descriptor_is_no_lever",
                                     "test_roads.Roads.test_natively_it_is_one"]),
    19: ("roads through /proc", ["test_roads.Roads.test_proc_of_others",
                                 "test_roads.Roads.test_natively_proc_tells",
                                 "test_roads.Roads.test_its_own_entries"]),
    20: ("pipes, sockets, devices", ["test_roads.Roads.test_pipes_sockets_and_devices_do_not_block",
                                     "test_roads.Roads.test_natively_a_pipe_blocks",
                                     "test_roads.Roads.test_a_mount_whose_server_is_gone",
                                     "test_roads.Roads.test_a_mount_that_dies_during_the_run",
                                     "test_roads.Roads.test_natively_it_holds_whoever_looks"]),
    21: ("forged traps and frames", ["test_tasks.Tasks.test_traps_single_steps_and_forged_signals",
                                     "test_tasks.Tasks.test_frames_that_a_handler_changed",
                                     "test_calls.Calls.test_32_bit_code", "test_injected"]),
    22: ("tasks that come and go", ["test_tasks.Tasks.test_short_threads",
                                    "test_tasks.Tasks.test_numbers_that_are_given_again",
                                    "test_tasks.Tasks.test_a_leader_that_exits_first",
                                    "test_tasks.Tasks.test_an_execution_by_another_thread",
                                    "test_tasks.Tasks.test_executions_of_two_threads_at_once",
                                    "test_tasks.Tasks.test_an_execution_beside_a_clone_that_waits_for_room"]),
    23: ("killed while it is served", ["test_tasks.Tasks.test_children_killed_in_served_calls",
                                       "test_tasks.Tasks.test_an_exit_beside_an_injected_call",
                                       "test_faults.OneByOne.test_each_occurrence_in_the_supervisor"]),
    24: ("restart codes", ["test_faults.OneByOne.test_no_result_is_one_of_the_kernels_restart_codes",
                           "test_tasks.Tasks.test_a_timer_of_1_khz"]),
    25: ("the supervisor killed", ["test_lifecycle.Lifecycle.test_killed_supervisor_leaves_nothing",
                                   "test_lifecycle.Lifecycle."
                                   "test_natively_a_daemon_outlives_its_parents_death"]),
    26: ("the supervisor's memory and files", ["test_outside.Outside.test_the_supervisor",
                                               "test_outside.Outside.test_natively_they_work",
                                               "test_outside.Outside.test_the_memory_of_others",
                                               "test_roads.Roads.test_proc_of_the_supervisor"]),
    27: ("signals to the outside", ["test_outside.Outside.test_a_process_of_the_same_user",
                                    "test_outside.Outside.test_natively_they_work",
                                    "test_outside.Outside.test_signals_to_everybody",
                                    "test_outside.Outside.test_the_callers_group"]),
    28: ("signals by other roads", ["test_neighbours.Neighbours.test_signals_by_other_roads",
                                    "test_neighbours.Neighbours.test_natively_they_arrive"]),
    29: ("the caller's terminal", ["test_neighbours.Neighbours.test_keys_that_nobody_typed",
                                   "test_neighbours.Neighbours.test_natively_keys_are_typed",
                                   "test_neighbours.Neighbours.test_names_that_are_shown_on_a_terminal",
                                   "test_flood.Flood."
                                   "test_a_terminal_of_the_hosts_is_not_opened_by_the_name_that_an_own_one_had"]),
    30: ("the caller's environment", ["test_inside.Inside.test_environment_does_not_leak",
                                      "test_start.Start.test_nothing_of_the_caller",
                                      "test_lifecycle.Lifecycle."
                                      "test_ignored_signals_of_the_caller_are_not_the_commands"]),
    31: ("sockets", ["test_outside.Outside.test_sockets", "test_outside.Outside.test_services_on_the_loopback",
                     "test_outside.Outside.test_descriptors_in_the_callers_socket", "test_sockets"]),
    32: ("two runs share nothing", ["test_neighbours.Neighbours.test_runs_find_nothing_of_each_other",
                                    "test_neighbours.Neighbours.test_natively_they_do",
                                    "test_locks.Locks.test_on_a_shown_file"]),
    33: ("floods against the supervisor", ["test_flood", "test_random",
                                           "test_locks.Locks.test_questions_about_locks_keep_nobody_waiting",
                                           *("test_neighbours.Neighbours." + name for name in (
                                               "test_a_run_leaves_others_their_timers",
                                               "test_natively_a_program_takes_all_timers_and_then_nothing_is_started",
                                               "test_a_run_leaves_others_their_messages",
                                               "test_natively_a_program_sends_so_much_that_no_descriptor_is_handed_over",
                                               "test_a_run_leaves_others_their_threads",
                                               "test_natively_a_program_takes_all_threads_and_then_nothing_is_started")),
                                           "test_hiding.Hiding.test_a_run_beside_one_that_attacks"]),
    34: ("names that are no text", ["test_audit.Log.test_no_name_forges_a_line",
                                    "test_options.Options.test_hostile_names_are_one_valid_line_each"]),
    35: ("memory beside the limit", ["test_memory", "test_calls.Calls.test_no_pipe_grows",
                                     "test_calls.Calls.test_no_memory_file_without_scratch",
                                     "test_hiding.Hiding.test_every_budget_alone_and_together"]),
    36: ("hidden processor time", ["test_hiding.Hiding.test_processor_time", "test_hiding.Hiding.test_wall_time",
                                   "test_budgets.Budgets.test_cpu_time_of_threads_counts_together",
                                   "test_budgets.Budgets.test_cpu_time_of_ended_threads_counts",
                                   "test_budgets.Budgets.test_catching_sigxcpu_does_not_help",
                                   "test_budgets.Budgets.test_cpu_time_of_children_counts",
                                   "test_budgets.Budgets.test_waiting_in_a_served_call_or_on_a_lock_ends_too"]),
    37: ("bombs", ["test_budgets.Budgets.test_thread_bomb_is_refused",
                   "test_budgets.Budgets.test_fork_bomb_is_refused",
                   "test_tasks.Tasks.test_a_fork_bomb_ends_with_the_budget",
                   "test_tasks.Tasks.test_forks_that_are_refused_do_not_keep_the_clocks_from_their_turn",
                   "test_tasks.Tasks.test_zombies_are_bounded",
                   "test_tasks.Tasks.test_children_one_after_the_other"]),
    38: ("output", ["test_budgets.Budgets.test_default_output_budget_ends_a_gigabyte",
                    "test_streams.Streams.test_slow_reader_gets_everything",
                    "test_streams.Streams.test_what_is_written_at_the_very_end_arrives",
                    "test_hiding.Hiding.test_much_output_for_a_slow_reader",
                    "test_hiding.Hiding.test_output_that_is_read_later",
                    "test_hiding.Hiding.test_output_after_the_parents_end"]),
    39: ("core dumps", ["test_neighbours.Neighbours.test_no_core_is_dumped",
                        "test_neighbours.Neighbours.test_no_core_goes_into_a_pipe",
                        "test_neighbours.Neighbours.test_a_piped_core_pattern_gets_none"]),
    40: ("options that overflow", ["test_overflow", "test_options.Options.test_invalid_values"]),
    41: ("ways out of the language", ["test_neighbours.Neighbours."
                                      "test_ways_out_of_the_language_lead_nowhere"]),
}


class Outcomes(unittest.TextTestResult):
    """By test and backend: did it pass everywhere? And was there a control?"""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.by_backend = collections.defaultdict(dict)
        self.controls = 0

    def note(self, test, column, passed):
        columns = self.by_backend[test.id()]
        columns[column] = columns.get(column, True) and passed

    def startTest(self, test):
        super().startTest(test)
        self.controls = Case.controls

    def stopTest(self, test):
        super().stopTest(test)
        if Case.controls > self.controls:
            self.note(test, "control", True)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        column = subtest.params.get("backend")
        if column or error is not None:
            self.note(test, column or "control", error is None)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.note(test, "control", False)

    def addError(self, test, error):
        super().addError(test, error)
        self.note(test, "control", False)


def tests_of(suite):
    for item in suite:
        yield from tests_of(item) if isinstance(item, unittest.TestSuite) else [item]


def cell(outcomes, ids, column):
    known = [outcomes.by_backend[i][column] for i in ids if column in outcomes.by_backend[i]]
    return "-" if not known else "ok" if all(known) else "FAILED"


def table(rows, ids, outcomes):
    columns = ("control", *BACKENDS)
    print("| row | | " + " | ".join(columns) + " |\n| ---: | --- |" + " --- |" * len(columns))
    wrong = 0
    for number, (what, _) in rows.items():
        cells = [cell(outcomes, ids[number], column) for column in columns]
        wrong += cells.count("ok") != len(cells)
        print(f"| {number} | {what} | " + " | ".join(cells) + " |")
    return wrong


def without_a_row(loader):
    """Tests of this folder that no row names: a table that leaves them out says too little."""
    named = {test.id() for _, names in ROWS.values() for name in names
             for test in tests_of(loader.loadTestsFromName(name))}
    return sorted({test.id() for test in tests_of(loader.discover("."))} - named)


def run(numbers):
    rows = {number: ROWS[number] for number in numbers or ROWS}
    loader = unittest.TestLoader()
    tests = {number: [t for name in names for t in tests_of(loader.loadTestsFromName(name))]
             for number, (_, names) in rows.items()}
    each = {test.id(): test for of_row in tests.values() for test in of_row}
    runner = unittest.TextTestRunner(stream=sys.stderr, verbosity=1, resultclass=Outcomes)
    outcomes = runner.run(unittest.TestSuite(each.values()))
    ids = {number: [test.id() for test in of_row] for number, of_row in tests.items()}
    wrong = table(rows, ids, outcomes)
    for name in without_a_row(loader):
        wrong += 1
        print(f"{name} stands for no row")
    return 0 if outcomes.wasSuccessful() and not loader.errors and wrong == 0 else 1


def stress(minutes):
    os.environ["VITRINE_LONG"] = "1"
    random = subprocess.run([sys.executable, "-B", "-m", "unittest", "-v", "test_random"], check=False)
    soak = subprocess.run([sys.executable, "-B", "soak.py", "--minutes", str(minutes)], cwd="..", check=False)
    return random.returncode or soak.returncode


def main():
    options = argparse.ArgumentParser()
    options.add_argument("rows", nargs="*", type=int, choices=[[], *ROWS], metavar="ROW")
    options.add_argument("--long", action="store_true")
    options.add_argument("--stress", nargs="?", type=float, const=60, metavar="MINUTES")
    options = options.parse_args()
    # For the soak's folder as well.
    os.environ["PYTHONPATH"] = os.path.abspath("..") + os.pathsep + os.environ.get("PYTHONPATH", "")
    if options.stress is not None:
        return stress(options.stress)
    if options.long:
        os.environ["VITRINE_LONG"] = "1"
    return run(options.rows)


if __name__ == "__main__":
    sys.exit(main())
