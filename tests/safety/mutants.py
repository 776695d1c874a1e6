"""Remove or invert the agent's safety decisions, one at a time: does a test notice?

    python -m tests.safety.mutants [NAME ...]

Prints one line for each mutant. The exit status is 1 if one survived: then a
test is missing. tests/safety/test_mutants_table.py keeps the table true to the agent.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator

from tests.harness import AGENT, REPOSITORY, share_agents

AT_ONCE = 2
"""Runs side by side."""

SECONDS = 90
"""A run that takes longer does not end."""

TESTS = "tests/safety/test_decisions.py"


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One decision less.

    Attributes:
        test: what notices, in TESTS: a test or a class of them.
        old: occurs exactly once in the agent.
    """

    name: str
    test: str
    old: str
    new: str

    def applied_to(self, text: str) -> str:
        """The agent with it; raises ValueError unless `old` occurs exactly once."""
        found = text.count(self.old)
        if found != 1:
            raise ValueError(f"{self.name}: occurs {found} times, not once: {self.old!r}")
        return text.replace(self.old, self.new)


def mutants(*rows: tuple[str, str, str, str]) -> list[Mutant]:
    """A table of them."""
    return [Mutant(*row) for row in rows]


MUTANTS = mutants(
    # Which netboot
    ("a rescue_boot that runs the disk", "TestNetboot::test_rescue_boot_is_never_what_runs_the_old_system", " and not self.boots_the_disk()", ""),
    ("a network kernel is no disk", "TestNetboot::test_rescue_boot_is_never_what_runs_the_old_system", 'self.kind == DISK or self.kernel.lower().startswith("bzimage")', "self.kind == DISK"),
    ("the oldest rescue", "TestNetboot::test_is_never_what_is_no_rescue_system_for_linux", "return max(fit, key", "return min(fit, key"),
    ("every netboot of type rescue is one", "TestNetboot::test_is_never_what_is_no_rescue_system_for_linux", "    if rescue and not re.search", '    if said == "rescue" or rescue and not re.search'),
    ("a rescue that is no Linux", "TestNetboot::test_is_never_what_is_no_rescue_system_for_linux", ' and not re.search("windows|bsd|ftp", name):', ":"),
    ("a rescue is what OVH's type says", "TestStatus::test_a_rescue_system_of_another_type_is_off", 'r"rescue(\\d*$|.*(customer|pro))", name)', 'r"rescue(\\d*$|.*(customer|pro))", name) if said in ("", "rescue") else None'),
    ("soap: an inactive rescue", "TestNetboot::test_is_never_what_is_no_rescue_system_for_linux", '("inactive", "disabled", "deleted")', "()"),
    ("off boots the disk", "TestNoStatusIsTrusted", '{"off": off, "on": DISK', '{"off": DISK, "on": DISK'),
    ("on boots the rescue", "TestNoStatusIsTrusted", '"on": DISK, "reboot": DISK}', '"on": RESCUE, "reboot": DISK}'),
    ("reboot boots the rescue", "TestNoStatusIsTrusted", "fencing.begin(plug, DISK) for plug", "fencing.begin(plug, RESCUE) for plug"),
    ("rest: disk and rescue swapped", "TestNoStatusIsTrusted", 'DISK = "harddisk"\nRESCUE = "rescue"', 'DISK = "rescue"\nRESCUE = "harddisk"'),
    ("rest: any description of a netboot", "TestNetboot::test_that_is_described_as_another_is_not_used", '        if document.number("bootId") != number:\n', "        if False:\n"),
    ("rest: one netboot that makes no sense hides the others", "TestNetboot::test_that_ovh_cannot_describe_hides_no_other", '                except Fault as error:\n                    fault = error\n                    if', '                except ZeroDivisionError as error:\n                    fault = error\n                    if'),
    ("rest: one netboot that is not found hides the others", "TestNetboot::test_that_ovh_cannot_describe_hides_no_other", '                except NotFound:\n                    continue', '                except ZeroDivisionError:\n                    continue'),
    ("rest: no netboot that makes sense is no netboot", "TestNetboot::test_that_makes_no_sense_may_pass", '        if fault is not None:\n            raise fault\n        return found\n', '        return found\n'),
    ("rest: a rescue_boot that OVH cannot describe is none", "TestNetboot::test_that_is_asked_for_needs_no_description", "                if wanted == str(number) and query:", "                if False:"),
    ("soap: no netboot that makes sense is no netboot", "TestNetboot::test_that_makes_no_sense_may_pass", '        if fault is not None and choose_netboot(found, kind, wanted) is None:\n            raise fault\n        return found\n\n    def set_netboot(self, server: str, netboot: Netboot) -> None:\n        """Choose what the server boots next."', '        return found\n\n    def set_netboot(self, server: str, netboot: Netboot) -> None:\n        """Choose what the server boots next."'),
    ("a netboot that is refused is asked for again", "TestNetboot::test_that_is_refused_is_looked_up_anew", "            self._next = self._find_netboot  # it may", "            pass  # it may"),
    ("rest: an email that OVH does not like stops a fencing", "TestNetboot::test_is_set_though_ovh_does_not_like_the_email", "            except Denied as error:  # OVH refuses all", "            except ZeroDivisionError as error:  # OVH refuses all"),
    # The order of things
    ("the netboot is not set", "TestNetboot::test_is_read_back_before_the_reboot_is_asked_for", "            self._api.set_netboot(self.server, self._netboot)", "            pass"),
    ("the netboot is not read back", "TestNetboot::test_is_read_back_before_the_reboot_is_asked_for", "        if not self._is_netboot_confirmed():\n            return False\n        if self._is_lost", "        if self._is_lost"),
    ("after a refusal or a fault the netboot is not read back", "TestBusy::test_is_asked_again_until_it_is_over", "        self._next = self._read_back  # before each request\n", ""),
    ("the netboot is not read again", "TestNetboot::test_is_read_again_after_the_reboot", "        if not self._is_netboot_confirmed():\n            return False\n        self.stage = \"the power", "        self.stage = \"the power"),
    ("nobody looks at the netboot while waiting", "TestNetboot::test_that_changes_and_is_changed_back_is_noticed", "        if self._now() - self._seen_at >= LOOK_EVERY and not", "        if False and not"),
    ("the netboot is looked at now and then", "TestNetboot::test_that_changes_while_waiting_is_set_before_the_server_boots", "LOOK_EVERY = 15.0", "LOOK_EVERY = 90.0"),
    ("any netboot will do", "TestNetboot::test_is_read_back_before_the_reboot_is_asked_for", "        if number == self._netboot.id:\n", "        if True:\n"),
    ("a stale read is a change", "TestNetboot::test_that_differs_just_after_it_was_set_is_a_stale_read", "        if asked - self._set_at < self._api.read_lag:", "        if False:"),
    ("every change is a stale read", "TestNetboot::test_that_changes_twice_is_somebody_elses", "        if asked - self._set_at < self._api.read_lag:", "        if True:"),
    ("a netboot is new since it was sent", "TestNetboot::test_that_differs_counts_from_the_answer_to_its_change", "        self._set_at = self._now()\n        self._next", "        self._set_at = self._now() - 15\n        self._next"),
    ("a stale read is old since its answer", "TestNetboot::test_that_differs_counts_from_when_the_look_was_sent", "        asked = self._now()\n        number, self._powered, self._address = self._api.look(self.server)\n", "        number, self._powered, self._address = self._api.look(self.server)\n        asked = self._now()\n"),
    ("the first change is somebody else's", "TestNetboot::test_that_changes_while_waiting_is_set_before_the_server_boots", "        if self._changes > 1:", "        if self._changes:"),
    ("two agents fight for ever", "TestNetboot::test_that_changes_twice_is_somebody_elses", "        if self._changes > 1:", "        if False:"),
    ("rest: an empty answer is a change", "TestNetboot::test_an_empty_answer_is_no_change", '    if "bootId" not in server:', "    if False:"),
    ("a change is answered with nothing", "TestNetboot::test_that_changes_while_waiting_is_set_before_the_server_boots", "        self._begin_again()\n        if asked < self.end:", "        if False:"),
    ("a word of warning stops a fencing", "TestNetboot::test_no_look_for_a_script_stops_a_fencing", "        except OvhError as error:  # a word", "        except ZeroDivisionError as error:  # a word"),
    ("the power may be on", "TestTask::test_of_the_power_entry_is_over_before_the_power_is_off", "if self.kind == POWER and self._powered:", "if False:"),
    ("rest: no power state is off", "TestTask::test_without_a_power_state_is_not_off", 'return number, server.get("powerState") != "poweroff"', 'return number, server.get("powerState") == "poweron"'),
    # Which hard reboot is ours
    ("a lost request was not sent", "TestLost::test_waits_for_it_and_begins_again", "                self.lost += is_sent\n", ""),
    ("a first try that hangs is the only one", "TestTries::test_one_that_hangs_until_its_limit_is_not_the_only_one", "(tries > 1 and next_try", "(next_try"),
    ("rest: an answer that makes no sense is not tried again", "TestTries::test_are_made_of_what_lacks_what_was_asked_for", "            return read(self._result(call, answer))\n\n        return self.call_until_answered(call, attempt)\n", "            return self._result(call, answer)\n\n        return read(self.call_until_answered(call, attempt))\n"),
    ("lost once: ours waits for ever", "TestLost::test_waits_for_one_that_never_ends_for_five_minutes", "        self._waiting_since = now if self._waiting_since is None else self._waiting_since\n", "        self._waiting_since = now\n"),
    ("soap: another one is not waited for", "TestSoapTimes::test_one_under_way_is_waited_for", "        if self._api.shows_one_alone and", "        if False and"),
    ("another one is waited for for ever", "TestSoapTimes::test_one_that_never_ends_does_not_keep_the_server_from_being_cut", "        return now - self._waiting_since < OTHER_LIMIT\n", "        return True\n"),
    ("lost: the minute is none", "TestLost::test_waits_a_minute_with_the_netboot_set", "        if self._now() - self._set_at >= self._api.list_lag:", "        if True:"),
    ("another one has the time of the one before", "TestLost::test_another_one_has_its_own_time_with_soap", "        self._reboot = self._older = self._waiting_since = None\n", "        self._reboot = self._older = None\n"),
    ("lost: the netboot is not read once more", "TestLost::test_reads_the_netboot_before_the_list_and_after", "            self._note_older()\n            return False\n", "            self._note_older()\n            if self._older is None:\n                return False\n"),
    ("lost: only those alive are older", "TestLost::test_one_that_was_known_before_is_never_ours", "            self._older = self._api.all_reboots(self.server)", "            self._older = self._api.under_way(self.server)"),
    ("lost: the list comes before the netboot", "TestLost", "            if self._api.lost and self._older is None:\n                self._is_lost = True\n                self._begin_again()\n", "            if self._api.lost and self._older is None:\n                self._is_lost = True\n                self._begin_again()\n                self._older = self._api.all_reboots(self.server)\n"),
    ("lost: it is asked again at once", "TestLost::test_waits_a_minute_with_the_netboot_set", "                self._is_lost = True\n", "                pass\n"),
    ("lost: nothing is adopted", "TestLost::test_one_that_is_listed_is_ours", "            if new := self._api.new_reboot(self.server, self._older):", "            if new := None:"),
    ("one that was known is adopted", "TestLost::test_one_that_was_known_before_is_never_ours", "            if new := self._api.new_reboot(self.server, self._older):", "            if new := self._api.new_reboot(self.server, set()):"),
    ("lost: one that is over is not ours", "TestLost::test_one_that_is_listed_is_ours_also_when_it_is_over", "for number in self.all_reboots(server) if", "for number in self.under_way(server) if"),
    ("refused: another task in the way is no answer", "TestRefusals::test_two_that_pass_a_minute_apart_do_not_last", '            if isinstance(error, Busy):', '            if False:'),
    ("refused: it lasts although the cut begins again", "TestRefusals::test_two_that_pass_a_minute_apart_do_not_last", '        self._refusal = ("", 0.0)  # a refusal', '        pass  # a refusal'),
    ("lost: one of old is ours", "TestLost::test_one_of_old_that_is_listed_again_is_not_ours", "        latest = max(known, default=0)", "        latest = 0"),
    ("status: what nobody knows may be the rescue_boot", "TestStatus::test_what_nobody_knows_is_no_rescue_boot", "is_wanted = self.kind != UNKNOWN and wanted", "is_wanted = wanted"),
    ("one that is not listed yet is asked for again", "TestLost::test_one_that_is_not_listed_yet_is_waited_for", "            if self._now() - self._lost_at < self._api.list_lag:", "            if False:"),
    ("one that is not listed is looked for at each step", "TestTries::test_leave_ovh_in_peace_after_a_loss", "                self._due = wait_until\n                return False\n", "                return False\n"),
    ("older ones are older for ever", "TestLost::test_after_a_change_the_older_ones_are_others", "        self._reboot = self._older = self._waiting_since = None\n", "        self._reboot = self._waiting_since = None\n"),
    ("a late twin is no matter", "TestLost::test_no_twin_may_be_alive_at_the_end", "self._most_accepted < 2 or not self._may_twin_be_alive()", "True"),
    ("a late twin is listed at once", "TestLost::test_no_twin_may_be_alive_that_is_listed_late", "        if self._now() - quiet_at < LATE:\n            return True\n", ""),
    ("soap: another of ours comes next", "TestLost::test_one_of_ours_that_soap_does_not_show_yet_is_waited_for", "            quiet_at = max(quiet_at, self._over_at)\n", "            pass\n"),
    ("a late twin comes at once", "TestLost::test_no_twin_may_come_late", "quiet_at < LATE:", "quiet_at < 0:"),
    ("a late twin is never over", "TestLost::test_ours_is_no_twin", " - {self._reboot.key})", ")"),
    ("a late twin is never alive", "TestLost::test_no_twin_may_be_alive_at_the_end", "        return bool(self._api.under_way(self.server) - {self._reboot.key})", "        return False"),
    ("the request that is answered is not counted", "TestLost::test_no_twin_may_be_alive_at_the_end", "        self._most_accepted += 1\n", ""),
    ("nobody knows when a request was lost", "TestLost::test_no_twin_may_be_alive_that_is_listed_late", "                self._lost_at = self._now()\n", ""),
    ("a twin is looked for at each step", "TestLost::test_a_twin_is_looked_for_now_and_then", '        self.stage = "other hard reboots to be over"\n        self._due = self._now() + WAIT_EVERY\n', '        self.stage = "other hard reboots to be over"\n'),
    ("requests are not counted", "TestLost::test_no_twin_may_be_alive_at_the_end", "                self._most_accepted += self._api.lost\n", ""),
    ("rest: busy is a refusal", "TestBusy::test_waits_for_tasks_of_every_kind", '        if "TaskAlreadyExists" in said or answer.status == 409:', "        if False:"),
    ("rest: busy has one status", "TestBusy::test_is_told_by_the_status_alone", '"TaskAlreadyExists" in said or answer.status == 409', '"TaskAlreadyExists" in said'),
    ("rest: busy has one word", "TestBusy::test_is_asked_again_until_it_is_over", '"TaskAlreadyExists" in said or answer.status == 409', "answer.status == 409"),
    ("busy is the end", "TestBusy::test_is_asked_again_until_it_is_over", "        except (Fault, Busy) as error:", "        except Fault as error:"),
    ("busy is asked again at each step", "TestBusy::test_is_asked_again_until_it_is_over", "            self._due = wait_until\n            if self._api.lost", "            if self._api.lost"),
    ("rest: a task of another kind is an answer", "TestTask::test_of_another_kind_is_no_answer_to_our_request", "{}, read=number_of_reboot))", '{}, read=lambda task: task.number("taskId")))'),
    ("rest: the number is 0", "TestTask::test_done_seen_once_is_enough", "RestReboot(self, server, self.call(", "RestReboot(self, server, 0 * self.call("),
    # When it is over
    ("rest: any task", "TestTask::test_of_another_number_or_kind_is_not_ours", "number_of_reboot(task) != self.key or status", "number_of_reboot(task) < 0 or status"),
    ("rest: a task of any function", "TestTask::test_of_another_number_or_kind_is_not_ours", "number_of_reboot(task) != self.key or status", 'task.number("taskId") != number or status'),
    ("rest: a task under way is done", "TestTask::test_done_seen_once_is_enough", 'return "over" if status == "done" else "alive"', 'return "over"'),
    ("rest: a status that nobody knows is the end", "TestTask::test_of_an_unknown_status_is_not_over", '            if number_of_reboot(task) != self.key or status not in (*ALIVE, *GIVEN_UP, "done"):\n                raise task.fault("the answer makes no sense")\n            if status in GIVEN_UP:', '            if number_of_reboot(task) != self.key:\n                raise task.fault("the answer makes no sense")\n            if status not in (*ALIVE, "done"):'),
    ("rest: a status that nobody knows is done", "TestTask::test_of_an_unknown_status_is_not_over", '            if number_of_reboot(task) != self.key or status not in (*ALIVE, *GIVEN_UP, "done"):\n                raise task.fault("the answer makes no sense")\n            if status in GIVEN_UP:\n                return in_words(f"{status}: {task.get(\'comment\')}", self._api.secrets)\n            return "over" if status == "done" else "alive"', '            if number_of_reboot(task) != self.key:\n                raise task.fault("the answer makes no sense")\n            if status in GIVEN_UP:\n                return in_words(f"{status}: {task.get(\'comment\')}", self._api.secrets)\n            return "alive" if status in ALIVE else "over"'),
    ("rest: an unknown task is done", "TestTask::test_that_is_unknown_proves_nothing", '        except NotFound:\n            return "unknown"', '        except NotFound:\n            return "over"'),
    ("rest: an unknown task is a fault", "TestTask::test_that_stays_unknown_for_five_minutes_is_asked_for_again", "            if fault.status == 500:", "            if False:"),
    ("an unknown reboot is lost at once", "TestTask::test_that_is_unknown_proves_nothing", "TASK_LAG = 300.0", "TASK_LAG = 0.0"),
    ("an unknown reboot is lost after a minute", "TestTask::test_that_is_unknown_proves_nothing", "TASK_LAG = 300.0", "TASK_LAG = 60.0"),
    ("an unknown reboot is waited for for ever", "TestTask::test_that_stays_unknown_for_five_minutes_is_asked_for_again", "TASK_LAG = 300.0", "TASK_LAG = 9e9"),
    ("seconds of an unknown reboot add up", "TestTask::test_that_is_known_now_and_then_is_waited_for", '            self._unknown_since = None\n            return False', '            return False'),
    ("rest: a task that was given up is waited for", "TestTask::test_that_ovh_gives_up_is_asked_for_again", '        if state == "unknown":\n', '        if True:\n'),
    ("OVH gives up again and again", "TestTask::test_that_ovh_always_gives_up_comes_to_an_end", "        self._due = self._now() + self._pause\n", ""),
    ("OVH gives up again and again, at the same pace", "TestTask::test_that_ovh_always_gives_up_comes_to_an_end", "min(2 * self._pause, LONGEST_WAIT)", "self._pause"),
    ("machine: asked after the answer", "TestMachine::test_that_boots_before_the_request_is_answered_is_not_cut_again", "        self._asked_at = asked\n", "        self._asked_at = self._now()\n"),
    ("after a reboot that is gone the netboot is not set", "TestTask::test_that_ovh_gives_up_is_asked_for_again", "        self._begin_again()\n        self._due", "        self._next = self._ask\n        self._due"),
    ("rest: a task that moves on is missed", "TestOn::test_reboots_one_on_which_a_reboot_moves_on_between_two_questions", 'ALIVE = ("init", "todo", "doing")', 'ALIVE = ("doing", "todo", "init")'),
    ("soap: any start", "TestSoapTimes", '        if start in ("", self._before[0]):', '        if start == "":'),
    ("soap: a blank start", "TestSoapTimes::test_a_blank_start_is_unknown", '        if start in ("", self._before[0]):', "        if start == self._before[0]:"),
    ("soap: there was none before", "TestSoapTimes", "            before = self.times(server)\n", '            before = ("", "")\n'),
    ("soap: a garbled time is one", "TestSoapTimes::test_a_garbled_one_before_is_asked_for_again", "        if any(text and parse_time(text) is None for text in (start, end)):", "        if False:"),
    ("soap: a missing time is none", "TestSoapTimes::test_a_garbled_one_before_is_asked_for_again", 'members.get("start", "?"), members.get("end", "?")', 'members.get("start", ""), members.get("end", "")'),
    ("soap: the end of the one before", "TestSoapTimes::test_the_end_of_the_one_before_is_not_ours", "        if end == self._before[1] or not", "        if not"),
    ("soap: the end is not looked at", "TestSoapTimes", "        if end == self._before[1] or not is_reboot_over(start, end, now - self._seen_at):", "        if end == self._before[1]:"),
    ("soap: an end before the start", "TestSoapTimes::test_which_are_under_way", " or ended is None or ended < started:", " or ended is None:"),
    ("soap: an estimated end is the end", "TestSoapTimes::test_the_end_is_not_before_the_cut_in_any_reading", "    return elapsed >= (ended - started).total_seconds()", "    return True"),
    ("soap: seconds from nowhere", "TestSoapTimes::test_end_less_start_have_to_pass_since_the_start_was_shown", "        if start != self.key:\n", "        if False:\n"),
    ("soap: a time is any text", "TestSoapTimes::test_a_time_has_one_form_alone", "if len(text) == 19 else None", "if text else None"),
    ("soap: a garbled one is not under way", "TestSoapTimes::test_which_are_under_way", "    if started is None or ended is None or ended < started:\n        return False", "    if started is None or ended is None:\n        return True\n    if ended < started:\n        return False"),
    # The machine itself
    ("machine: nobody asks it", "TestMachine::test_that_says_nothing_is_not_in_rescue", "        if self.kind == RESCUE and self._fencing.key and not", "        if False and not"),
    ("machine: any host name", "TestMachine::test_that_booted_its_disk_is_not_in_rescue", "host.startswith(\"rescue\") and uptime", "uptime"),
    ("machine: any uptime", "TestMachine::test_that_was_not_cut_is_cut_again", " and uptime < since:", ":"),
    ("machine: since the agent began", "TestMachine::test_that_booted_before_the_request_proves_nothing", "since = begun - self._asked_at", "since = begun - self.begun"),
    ("machine: the request is never noted", "TestMachine::test_that_booted_before_the_request_proves_nothing", "        self._asked_at = asked\n        return self._accept(reboot)", "        return self._accept(reboot)"),
    ("machine: an old system is waited for for ever", "TestMachine::test_that_was_not_cut_is_cut_again", "            if uptime >= since and begun - self._over_at >= BOOT_LAG:", "            if False:"),
    ("machine: an old system is cut again at once", "TestMachine::test_that_was_not_cut_is_cut_again", "BOOT_LAG = 300.0", "BOOT_LAG = 0.0"),
    ("machine: what booted its disk is cut again", "TestMachine::test_that_booted_its_disk_is_not_in_rescue", "            if uptime >= since and begun", "            if begun"),
    ("machine: the time since over is not noted", "TestMachine::test_that_was_not_cut_is_cut_again", "            self._over_at = self._now()\n", ""),
    ("machine: a refusal that passes costs the key", "TestMachine::test_a_refusal_that_passes_costs_no_key", "not is_clear and error.at - since < KEY_REFUSED_FOR:", "False:"),
    ("machine: the key is given up soon", "TestMachine::test_a_refusal_of_the_key_that_passes_costs_no_key", "KEY_REFUSED_FOR = 50.0", "KEY_REFUSED_FOR = 20.0"),
    ("machine: a refusal that lasts stops the cut", "TestMachine::test_a_refusal_that_lasts_is_one_of_the_key", "not is_clear and error.at - since < KEY_REFUSED_FOR:", "not is_clear:"),
    ("machine: the key is not sent", "TestMachine::test_is_believed", "{\"rescueSshKey\": self.public_key, \"rescueMail\"", "{\"rescueSshKey\": \"\", \"rescueMail\""),
    ("machine: a key that is refused stops a fencing", "TestMachine::test_key_that_ovh_refuses_stops_no_cut", "                if error.status != 400:", "                if True:"),
    ("machine: any refusal leaves the key out", "TestMachine::test_key_is_not_left_out_for_another_refusal", "                if error.status != 400:", "                if False:"),
    ("machine: a reboot passes it by", "TestMachine::test_is_asked_before_a_reboot_into_the_disk", "            options[\"--method\"] = \"onoff\"", "            pass"),
    ("machine: it is asked about the power", "TestMachine::test_is_asked_by_nothing_else", "        if self.kind == RESCUE and self._fencing.key and not", "        if self._fencing.key and not"),
    ("machine: any line is a host name", "test_testimony", "([A-Za-z0-9][\\w.-]{0,99})", "(.{0,99})"),
    ("machine: any number is an uptime", "test_testimony", "(\\d{1,10}\\.\\d\\d) \\d", "(\\S+) \\d"),
    # status and on
    ("status: a rescue under way is off", "TestStatus::test_rescue_under_way_is_on", "        return (rescue or not powered) and not self.api.under_way(name)", "        return rescue or not powered"),
    ("status: everything is off", "TestStatus::test_the_disk_is_on", "        return (rescue or not powered) and", "        return"),
    ("status: a rescue_boot is on", "TestStatus::test_a_rescue_boot_of_another_name_is_off", " or netboot.fits(RESCUE, self._rescue_boot)", ""),
    ("status: beside a rescue_boot no rescue system is off", "TestStatus::test_the_usual_rescue_system_is_off_beside_a_rescue_boot", "rescue = netboot.kind == RESCUE or netboot", "rescue = netboot"),
    ("status: switched off is on", "TestStatus::test_switched_off_is_off", "(rescue or not powered)", "rescue"),
    ("status: a script is a rescue", "TestStatus::test_a_script_is_on", 'Netboot(0, "a custom iPXE script", UNKNOWN)', 'Netboot(0, "rescue-pro", RESCUE)'),
    ("on: a script is the disk", "TestOn::test_reboots_one_that_boots_a_script", 'Netboot(0, "a custom iPXE script", UNKNOWN)', 'Netboot(0, "a custom iPXE script", DISK)'),
    ("status: what is no longer offered is a rescue", "TestStatus::test_a_netboot_that_is_no_longer_offered_is_on", '"no longer offered", UNKNOWN)', '"no longer offered", RESCUE)'),
    ("on: a reboot under way is no matter", "TestOn::test_reboots_one_on_which_a_reboot_is_under_way", "netboot.kind == DISK and powered and not self.api.under_way(name)", "netboot.kind == DISK and powered"),
    ("on: any netboot", "TestOn::test_reboots_one_whose_netboot_is_another", "netboot.kind == DISK and powered and not", "powered and not"),
    ("on: switched off is on", "TestOn::test_reboots_one_that_is_switched_off", "netboot.kind == DISK and powered and not", "netboot.kind == DISK and not"),
    ("on: a silent API cuts", "TestOn::test_a_silent_api_cuts_no_server", "self._look_first if fencing.action == \"on\" else self._find_netboot", "self._find_netboot"),
    ("on: a silent API is on", "TestOn::test_what_cannot_be_read_at_first_may_have_to_be_rebooted", "        self.proven = self._fencing.is_on(self.server)\n", "        self.proven = True\n"),
    ("rest: a list that is none is empty", "TestOn::test_reboots_one_of_which_no_list_says_anything", '    if not isinstance(value, list) or not all(is_number(each) for each in value):\n        raise document.fault("the answer lacks what was asked for")\n    return value', "    return value or []"),
    # What the library is told
    ("off trusts a status", "TestNoStatusIsTrusted", '    if cut is None:\n        return "on"\n', '    if cut is None:\n        return "off" if fencing.is_off(server) else "on"\n'),
    ("what is not proven is done", "TestDeadline::test_ends_a_wait_for_what_never_happens", "    is_done = cut.proven or", "    is_done = True or"),
    ("the on portion of a reboot fails it", "TestOnPortion::test_that_never_happens_is_logged_and_still_success", "    is_done = cut.proven or (cut.failed and action == \"on\" and bool(fenced and fenced.proven))", "    is_done = cut.proven"),
    ("on fails and is success", "TestOn::test_fails_when_the_reboot_never_happens", "action == \"on\" and bool(fenced and fenced.proven))", "action == \"on\")"),
    ("a cycle that failed is success", "TestDeadline::test_ends_a_wait_for_what_never_happens", "            fencing.clock.sleep(min(fencing.poll, max(left, 0.1)))\n    end_if_failed(fencing)\n", "            fencing.clock.sleep(min(fencing.poll, max(left, 0.1)))\n"),
    ("a cut that failed goes on for ever", "TestRefusals::test_that_lasts_is_believed", '    end_if_failed(fencing)\n    return "off" if action', '    return "off" if action'),
    ("one that failed keeps the others from being cut", "TestSeveralPlugs::test_one_that_is_refused_ends_no_longer_cut", "    if all(cut.is_finished() for cut in cuts) and any(cut.failed", "    if any(cut.failed"),
    ("a cut that failed is proven", "TestDeadline::test_ends_a_wait_for_what_never_happens", "        self.failed = True\n", "        self.proven = True\n"),
    ("only the first plug is cut", "TestSeveralPlugs::test_are_waited_for_together", 'for plug in fencing.plugs]', 'for plug in fencing.plugs[:1]]'),
    ("one that is proven is cut again", "TestSeveralPlugs::test_one_that_is_proven_is_left_alone", "        if self.is_finished() or (now < self._due and not is_last):", "        if now < self._due and not is_last:"),
    ("each plug has its own deadline", "TestSeveralPlugs::test_that_begin_one_by_one_have_one_deadline", "            self.cuts[server, kind].end = min(c.end for (_, k), c in self.cuts.items() if k == kind)\n", ""),
    ("off and on have one deadline", "TestOnPortion::test_has_its_own_power_timeout", "min(c.end for (_, k), c in self.cuts.items() if k == kind)", "min(c.end for c in self.cuts.values())"),
    # The exit status
    ("a failure of several is success", "TestDeadline::test_ends_a_wait_for_what_never_happens", "        sys.exit(1)\n\n\ndef set_power_status", "        sys.exit(0)\n\n\ndef set_power_status"),
    ("an error of OVH is success", "TestRefusals::test_is_believed_at_once_where_nothing_is_changed", '        log("error", "%s", error)\n    except Exception', "        return 0\n    except Exception"),
    ("a defect is success", "TestExitStatus::test_of_a_defect_is_one_and_its_text_is_not_shown", '        log("error", "defect in fence_ovh: %s", where(error))', "        return 0"),
    ("a defect shows its text", "TestExitStatus::test_of_a_defect_is_one_and_its_text_is_not_shown", 'return f"{type(error).__name__} in {places}"', 'return f"{error!r} in {places}"'),
    ("the exit status is lost", "TestExitStatus::test_is_that_of_the_process", "    sys.exit(run(options, Network(), time))", "    run(options, Network(), time)"),
    ("what is left is not said", "TestWhatIsLeft", "                cut.say_what_is_left()\n", "                pass\n"),
    # Time
    ("there is no deadline", "TestDeadline::test_ends_a_wait_for_what_never_happens", "        is_last = now >= self.end", "        is_last = False"),
    ("there is no last look", "TestDeadline::test_has_a_last_look", "        if self.is_finished() or (now < self._due and not is_last):", "        if self.is_finished() or now < self._due:"),
    ("the last look begins something", "TestDeadline::test_begins_nothing_with_its_last_look", "            while not is_last or self._next in looks:", "            while self._next():"),
    ("a cycle sleeps on", "TestDeadline::test_has_a_last_look", "            fencing.clock.sleep(min(fencing.poll, max(left, 0.1)))", "            fencing.clock.sleep(fencing.poll)"),
    ("the last look is not at the hard reboot", "TestDeadline::test_has_a_last_look", "(self._look_first, self._wait_for_reboot, self._prove)", "(self._look_first, self._prove)"),
    ("the last look is not at the netboot", "TestDeadline::test_has_a_last_look", "(self._look_first, self._wait_for_reboot, self._prove)", "(self._look_first, self._wait_for_reboot)"),
    ("on: the last look is not at a server that runs", "TestDeadline::test_has_a_last_look_for_one_that_runs_from_disk", "(self._look_first, self._wait_for_reboot, self._prove)", "(self._wait_for_reboot, self._prove)"),
    ("the last look has no time", "TestDeadline::test_has_a_last_look_of_some_seconds", "now + LAST_LOOK if is_last else self.end", "self.end"),
    ("tries go on after the deadline", "TestDeadline::test_begins_no_try_after_it", "        if next_try >= self.deadline:", "        if False:"),
    ("a call may take its time", "TestDeadline::test_limits_each_call_by_what_is_left", "        seconds = min(limit, self.deadline - now)", "        seconds = limit"),
    ("tries take their time", "TestTries::test_end_with_shell_timeout", "(tries > 1 and next_try >= end)", "False"),
    ("power_timeout cannot be lifted", "TestDeadline::test_can_be_disabled_and_then_each_minute_is_reported", '        self.limit = float("inf") if lifted else', "        self.limit ="),
    ("nothing is reported", "TestDeadline::test_can_be_disabled_and_then_each_minute_is_reported", "        if now - self._reported >= REPORT_EVERY:", "        if False:"),
    ("reading waits for ever", "TestStatus::test_without_any_answer_is_a_failure_soon", "            return next_try >= self._heard + SILENCE", "            return False"),
    ("reading gives up like off", "TestStatus::test_gives_up_after_some_seconds_and_not_tries", "        if self._is_reading:\n            return next_try", "        if False:\n            return next_try"),
    ("a read may take its time", "TestStatus::test_without_any_answer_is_a_failure_soon", "            seconds = min(seconds, self._heard + SILENCE - now)", "            pass"),
    ("reading does not wait anew", "TestStatus::test_with_slow_answers_goes_on", "                self._heard = self.answered_at[call] = self.clock.monotonic()\n", "                self.answered_at[call] = self.clock.monotonic()\n"),
    ("reading does not wait anew after a refusal", "TestStatus::test_with_a_refusal_now_and_then_goes_on", "                self._heard = error.at = error.at or now", "                error.at = error.at or now"),
    ("reading does not wait anew after a login", "TestStatus::test_with_an_answer_now_and_then_goes_on", "        self._heard = self.clock.monotonic()\n        if self._login_refused:\n            self.answered_at[self._login_refused.call] = self._heard\n", "        if self._login_refused:\n            self.answered_at[self._login_refused.call] = self.clock.monotonic()\n"),
    ("a last look forgets the last fault", "TestDeadline::test_begins_nothing_with_its_last_look", "                goes_on = self._next()\n                self._trouble = None\n                if not goes_on:\n                    break\n", "                if not self._next():\n                    break\n            self._trouble = None\n"),
    ("a last look sets the netboot", "TestDeadline::test_sets_nothing_with_its_last_look", "        if asked < self.end:  #", "        if True:  #"),
    ("many plugs are asked as often as one", "TestTries::test_leave_ovh_in_peace", "        return max(self.poll, requests * under_way * 60 / FAIR) - 0.05", "        return self.poll - 0.05"),
    ("a fault is asked after without pause", "TestTries::test_leave_ovh_in_peace_while_a_fault_lasts", "        if self._api.failures > failures and", "        if False and"),
    ("a fault that costs a call nothing is asked after without pause", "TestTries::test_leave_ovh_in_peace_while_each_call_costs_some", "        if self._api.failures > failures and", "        if self._trouble and"),
    ("a fault with many plugs is asked after as often as with one", "TestTries::test_of_several_plugs_leave_ovh_in_peace_while_a_fault_lasts", "self._fencing.pace(self._api.sent - sent), latest", "self._fencing.pace(1), latest"),
    ("a fault is asked after for ever", "TestTries::test_rest_for_20_seconds_at_most", "min(LONGEST_REST, (self.end - now) / 4)", "1000.0"),
    ("the rest goes on until the end", "TestDeadline::test_leaves_time_after_a_fault", "min(LONGEST_REST, (self.end - now) / 4)", "LONGEST_REST"),
    ("a step that got on is rested after", "TestTries::test_rest_only_after_a_step_in_vain", " and self._next == begun_with:", ":"),
    ("each call of the library is a step", "TestTries::test_leave_ovh_in_peace", "        if self.is_finished() or (now < self._due and not is_last):", "        if self.is_finished():"),
    # Faults and refusals
    ("every refusal is final", "TestRefusals::test_that_passes_is_not", "        if at - since >= DENIED_FOR:", "        if True:"),
    ("a first refusal is final", "TestRefusals::test_that_passes_is_not", "            self._refusal, since = (error.call, at), at\n", "            self._refusal, since = (error.call, at - 99), at - 99\n"),
    ("no refusal is final", "TestRefusals::test_that_lasts_is_believed", "        if at - since >= DENIED_FOR:", "        if False:"),
    ("a login that is granted is no good answer", "TestRefusals::test_of_the_login_may_pass_twice", "            self.answered_at[self._login_refused.call] = self._heard", "            pass"),
    ("a refusal that is held back counts from now", "TestRefusals::test_of_the_login_may_pass", "error.at = error.at or now", "error.at = now"),
    ("refusals add up over good answers", "TestRefusals::test_a_good_answer_in_between_begins_the_minute_anew", " or self._api.answered_at.get(call, 0.0) > since:", ":"),
    ("refusals do not add up over faults", "TestRefusals::test_a_fault_in_between_is_no_good_answer", "        except (Fault, Busy) as error:  # the next step goes on\n", '        except (Fault, Busy) as error:  # the next step goes on\n            self._refusal = ("", 0.0)\n'),
    ("a login that is refused is tried at each step", "TestRefusals::test_of_the_login_is_tried_three_times", "        if self._login_refused and self.clock.monotonic() < self._next_login:", "        if False:"),
    ("a login that is held back is refused to one plug alone", "TestRefusals::test_of_the_login_is_one_for_several_plugs", "            raise self._login_refused", "            raise Fault(self._login_refused.call, self._login_refused.reason)"),
    ("a login that was granted is still refused", "TestRefusals::test_of_a_login_is_over_once_one_is_granted", "        self._login_refused, self._has_login = None, True", "        self._has_login = True"),
    ("a new login at each refusal", "TestRefusals::test_of_calls_makes_few_new_logins", "if is_renewed or now < self._next_login or", "if is_renewed or"),
    ("a new login at each refusal of one call", "TestRefusals::test_of_slow_calls_is_believed_once_it_lasts", "if is_renewed or now < self._next_login or", "if now < self._next_login or"),
    ("a new login makes no pause", "TestRefusals::test_of_calls_makes_few_new_logins", "                self._next_login = now + LOGIN_PAUSE\n", ""),
    ("no new login", "TestRefusals::test_of_a_client_that_worked_is_answered_with_a_new_login", "                if is_renewed or now < self._next_login or is_unknown:", "                if True:"),
    ("a new login is the old one", "TestRefusals::test_of_a_client_that_worked_is_answered_with_a_new_login", "        self._has_login = False\n        self.log_out()", "        self.log_out()"),
    ("a login that is not found is repeated at once", "TestRefusals::test_of_a_login_that_is_not_found_is_one_of_a_login", "is_sent and isinstance(error, NotFound)", "isinstance(error, NotFound)"),
    ("an unknown server needs a new login", "TestRefusals::test_an_unknown_server_needs_no_new_login", " or is_unknown:", ":"),
    ("rest: the clock is read once", "TestRefusals::test_a_clock_that_jumps_is_read_again", "            self._forget_login()  # the clock", "            pass  # the clock"),
    ("Retry-After is not honoured", "TestTries::test_retry_after_is_honoured_up_to_a_limit", "wait = max(pause * random.uniform(0.5, 1), min(fault.retry_after, LONGEST_PAUSE))", "wait = pause * random.uniform(0.5, 1)"),
    ("Retry-After has no limit", "TestTries::test_retry_after_is_honoured_up_to_a_limit", "min(fault.retry_after, LONGEST_PAUSE))", "fault.retry_after)"),
    ("pauses do not grow", "TestTries::test_have_growing_pauses_that_differ_between_agents", "                pause *= 2\n", ""),
    ("all agents come back together", "TestTries::test_have_growing_pauses_that_differ_between_agents", "random.uniform(0.5, 1)", "1"),
    ("a request is tried once", "TestTries::test_are_three", "MOST_TRIES = 3", "MOST_TRIES = 1"),
    ("a request is tried for ever", "TestTries::test_are_three", "return tries >= MOST_TRIES or", "return"),
    ("rest: too many requests is a refusal", "TestTries::test_are_made_also_where_ovh_says_no_in_passing", "        if answer.status in (408, 425, 429):", "        if False:"),
    ("rest: a failure of OVH is a refusal", "TestTries::test_are_made_also_where_ovh_says_no_in_passing", " or answer.status not in range(400, 500):", ":"),
    ("rest: every answer is good", "TestTries::test_are_made_also_where_ovh_says_no_in_passing", "        if document is not None and 200 <= answer.status < 300:", "        if document is not None:"),
    ("rest: an empty body is an answer", "TestTries::test_are_made_of_an_empty_body", "None if answer.status == 204 else json.loads(answer.body)", "json.loads(answer.body or b'null')"),
    ("rest: no content is no answer", "TestTries::test_no_content_is_an_answer", "None if answer.status == 204 else json.loads(answer.body)", "json.loads(answer.body)"),
    ("rest: no JSON is an answer", "TestTries::test_are_made_of_an_empty_body", "    except (ValueError, RecursionError):\n        return None\n    return Document", "    except (ValueError, RecursionError):\n        value = None\n    return Document"),
    ("soap: every fault is a refusal", "TestSoapTimes::test_words_about_login_session_and_server_alone_are_a_no", "    return Fault(call, reason, CHECK_SOAP_URL)", "    return Denied(call, reason, CHECK_SOAP_URL)"),
    ("soap: no fault is a refusal", "TestSoapTimes::test_words_about_login_session_and_server_alone_are_a_no", '    if re.search("log ?in|session|password", said):', "    if False:"),
    ("soap: an unknown server is a fault", "TestSoapTimes::test_words_about_login_session_and_server_alone_are_a_no", '    if re.search("no dedicated|unknown', '    if False and re.search("no dedicated|unknown'),
    ("soap: an answer to another call", "TestTries::test_are_made_of_what_makes_no_sense", "        if answer.status != 200 or response is None:", "        if answer.status != 200:"),
    ("soap: an answer of any status", "TestTries::test_are_made_of_what_came_with_a_bad_status", "        if answer.status != 200 or response is None:", "        if response is None:"),
    ("warnings have no end", "TestSeveralPlugs::test_warnings_leave_room_for_the_last_words", "        if text not in self._warned and len(self._warned) < MOST_WARNINGS:", "        if text not in self._warned:"),
    # How long
    ("a list is never late", "TestLost::test_waits_a_minute_with_the_netboot_set", "    list_lag = 60.0", "    list_lag = 30.0"),
    ("soap: a list is late", "TestLost::test_waits_a_minute_with_the_netboot_set", "    read_lag = list_lag = 0.0", "    read_lag, list_lag = 0.0, 60.0"),
    ("a read is stale for a moment", "TestNetboot::test_that_differs_just_after_it_was_set_is_a_stale_read", "    read_lag = 30.0", "    read_lag = 15.0"),
    ("a refusal passes soon", "TestRefusals::test_that_passes_is_not", "DENIED_FOR = 60.0", "DENIED_FOR = 40.0"),
    ("Pacemaker waits for a monitor", "TestStatus::test_without_any_answer_is_a_failure_soon", "SILENCE = 15.0", "SILENCE = 20.0"),
    ("accounts do not lock", "TestRefusals::test_of_the_login_is_tried_three_times", "LOGIN_PAUSE = 31.0", "LOGIN_PAUSE = 15.0"),
    # Secrets and sessions
    ("OVH's words are shown as they are", "TestSecrets::test_a_quoted_one_is_starred", '            line = line.replace(plain, "***")', "            pass"),
    ("soap: OVH's words may be secret", "TestSecrets::test_a_quoted_one_is_starred", 'in_words(struct(fault).get("faultstring", ""), self.secrets)', 'in_words(struct(fault).get("faultstring", ""))'),
    ("rest: OVH's words may be secret", "TestSecrets::test_a_quoted_one_is_starred", 'in_words(message, self.secrets)}" (HTTP', 'in_words(message)}" (HTTP'),
    ("rest: a comment may be secret", "TestSecrets::test_a_comment_of_a_task_never_shows_one", 'return in_words(f"{status}: {task.get(\'comment\')}", self._api.secrets)', 'return f"{status}: {task.get(\'comment\')}"'),
    ("oauth2: a token is no secret", "TestSecrets::test_a_session_or_token_is_one", "        self.secrets.append(self._token)\n", ""),
    ("soap: a session is no secret", "TestSecrets::test_a_session_or_token_is_one", "        self.secrets.append(self._session)\n", ""),
    ("the library suds talks", "TestSecrets::test_suds_logs_nothing", "    logger.setLevel(logging.CRITICAL + 1)\n    logger.propagate = False\n", ""),
    ("the session stays open", "TestSession", "                self._exchange(\"logout\", \"logout\", [session], LOGOUT_LIMIT)", "                pass"),
    ("a session that is renewed stays open", "TestSession::test_that_is_renewed_is_closed", "        self._has_login = False\n        self.log_out()", "        self._has_login = False"),
    ("a log-out takes as long as it takes", "TestSession::test_is_not_waited_for", "[session], LOGOUT_LIMIT)", "[session], 60)"),
    ("the session of a failed run stays open", "TestSession", "            fencing.api.log_out()\n", ""),
    ("after the deadline there is no log-out", "TestSession::test_has_its_time_after_the_deadline", "            fencing.api.deadline = float(\"inf\")\n", ""),
    # Hostile answers
    ("entity bombs are read", "TestTries::test_a_document_type_is_no_answer", '            raise ValueError("document type")', "            pass"),
    ("a redirect is followed", "TestNetwork::test_follows_no_redirect", "    director.add_handler(Handler())\n", "    director.add_handler(Handler())\n    director.add_handler(urllib.request.HTTPRedirectHandler())\n    director.add_handler(urllib.request.HTTPErrorProcessor())\n"),
    ("an answer has any length", "TestNetwork::test_reads_no_endless_answer", "                if len(body) > LONGEST_ANSWER:", "                if False:"),
    ("an answer takes any time", "TestNetwork::test_waits_no_longer_for_what_has_no_limit_of_its_own", "        while thread.is_alive() and (left := end - time.monotonic()) > 0:\n            thread.join(min(1.0, left))\n", "        thread.join()\n"),
    ("an answer cut short is whole", "TestNetwork::test_takes_no_part_for_the_whole", "            if response.length:", "            if False:"),
    ("the first address has all the time", "TestNetwork::test_an_address_that_does_not_answer_leaves_time_for_the_next", "            self.timeout = limit / 3\n", ""),
    ("a request is sent though nobody waits", "TestNetwork::test_sends_nothing_that_nobody_waits_for", "            if time.monotonic() >= end:  # nobody", "            if False:  # nobody"),
    ("a lack of threads is a defect", "TestNetwork::test_a_lack_of_threads_is_a_fault_that_passes", "        except RuntimeError:  # Node", "        except ZeroDivisionError:  # Node"),
)  # fmt: skip


PYTEST = ["-x", "-q", "-p", "no:cacheprovider"]
SURVIVED = "SURVIVED"
BROKEN = "BROKEN: no test failed, and none passed"
TOO_LONG = f"TOO LONG: the tests took more than {SECONDS} s, which shows nothing"


def main(names: list[str]) -> int:
    """Try the mutants of these names, or all; return the exit status."""
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    text = AGENT.read_text()
    share_agents()  # with the tests, which end without tidying up
    agents = {mutant.name: (mutant.test, mutant.applied_to(text)) for mutant in chosen}
    preload()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        trees = [copy_to(pathlib.Path(folder, str(number))) for number in range(AT_ONCE)]
        for _, verdict in tried({"": ("", text)}, trees[:1]):
            if verdict != SURVIVED:
                print(f"the agent as it is: {verdict}")
                return 1
        bad = 0
        for name, verdict in tried(agents, trees):
            bad += verdict in (SURVIVED, BROKEN, TOO_LONG)
            print(f"{name}: {verdict}", flush=True)
    seconds = time.monotonic() - begun
    print(f"{len(chosen)} mutants, {bad} of them not killed, {seconds:.0f} s")
    return 1 if bad else 0


def preload() -> None:
    """Import what every run needs: each is a fork of this process and has it at once."""
    import pytest  # noqa: F401
    import suds.client  # noqa: F401


def copy_to(folder: pathlib.Path) -> pathlib.Path:
    """Copy what the tests need there."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "tests", folder / "tests", ignore=ignored)
    (folder / "packaging").mkdir()
    for name in ("fence_ovh", "fencing.py", "pyproject.toml", "packaging/launcher"):
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


def tried(
    agents: dict[str, tuple[str, str]], trees: list[pathlib.Path]
) -> Iterator[tuple[str, str]]:
    """Run tests on agents, one in each tree at a time.

    :param agents: by name which test to run ("" for all of TESTS), and the text.
    :return: for each its name and which test failed, SURVIVED or BROKEN, as they end.
    """
    waiting, free = list(agents), list(trees)
    running: dict[int, tuple[str, pathlib.Path]] = {}
    while waiting or running:
        while waiting and free:
            name, tree = waiting.pop(0), free.pop()
            test, agent = agents[name]
            put(agent, tree)
            running[start_tests(test, tree)] = name, tree
        process, status = os.wait()
        name, tree = running.pop(process)
        free.append(tree)
        yield name, verdict_of(os.waitstatus_to_exitcode(status), tree)


def put(agent: str, tree: pathlib.Path) -> None:
    """Make that the tree's agent."""
    (tree / "fence_ovh").write_text(agent)
    # What Python keeps of a file it tells from the next only by size and second.
    shutil.rmtree(tree / "__pycache__", ignore_errors=True)


def start_tests(test: str, tree: pathlib.Path) -> int:
    """Start that test in that tree; return the process."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        try:
            os._exit(run_tests(test, tree))
        finally:
            os._exit(4)
    return process


def run_tests(test: str, tree: pathlib.Path) -> int:
    """Run that test of that tree in this process, which is for nothing else."""
    import pytest

    output = os.open(tree / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    signal.alarm(SECONDS)
    os.chdir(tree)
    sys.path = [str(tree), *(path for path in sys.path if path not in ("", str(REPOSITORY)))]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    status = pytest.main([*PYTEST, f"{TESTS}::{test}" if test else TESTS])
    sys.stdout.flush()
    return int(status)


def verdict_of(status: int, tree: pathlib.Path) -> str:
    """Say in words how the tests of that tree ended."""
    if status == 0:
        return SURVIVED
    if status == -signal.SIGALRM:
        return TOO_LONG
    output = (tree / "output").read_text()
    failed = re.search(r"^FAILED tests/(.*?)( - .*)?$", output, re.MULTILINE)
    return f"killed by {failed[1]}" if status == 1 and failed else BROKEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
