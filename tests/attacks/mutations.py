"""Each guard taken away, and the attack that succeeds then. One line a guard.

`also` are other guards that would refuse the same attack, taken away on both sides: with them away and the
guard in place the attack is refused; without the guard it succeeds. `instead` is what the guard answers
when it is away, where that does not follow from its type.
"""

from collections.abc import Callable
from dataclasses import dataclass

from attacks import approvals, freezes, histories, metafiles, storage


@dataclass(frozen=True)
class Away:
    guard: str
    attack: Callable
    instead: Callable | None = None
    also: tuple[str, ...] = ()

    @property
    def name(self):
        return f"{self.guard.removeprefix('placet.')}-{self.attack.__name__}"

    @property
    def answers(self):
        """What the guards answer that are away."""
        others = {one.guard: one.instead for one in MUTATIONS if one.guard in self.also}
        return {name: one for name, one in {**others, self.guard: self.instead}.items() if one is not None}


def nothing(*_args, **_kwargs):
    return iter(())


def every_key(_envelope, keys):
    return frozenset(keys)


def unbroken(case):
    out = {}
    for one in sorted(case.decisions, key=lambda one: one.decision.body.n):
        out.setdefault(one.decision.body.person, []).append(one)
    return out


def whatever_came(repo, update):
    known = {one.id for one in repo.line(update.old)}
    return [one for one in repo.line(update.new) if one.id not in known]


def unread(store, key, *_):
    return b"".join(store.get(key))


def each_key_a_person(_policy, signed):
    return frozenset(one.keyid for one in signed.envelope.signatures)


FIREWALL = "placet.engine.firewall:"
GATE, CTRL, HISTORY = "placet.engine.gate:", "placet.engine.ctrl:", "placet.engine.history:"
PUBLISHED, ASSENT, LAYOUT = "placet.engine.published:", "placet.core.assent:", "placet.core.layout:"

MUTATIONS = (
    # bytes
    Away("placet.adapters.objects.obs:require_same", storage.swap_after_approval),
    Away("placet.adapters.objects.obs:require_same", storage.swap_between_check_and_copy),
    Away("placet.adapters.objects.obs:require_same", storage.swap_of_a_large_object),
    Away("placet.engine.contents:_read_object", storage.swapped_digest_list, instead=unread),
    Away("placet.engine.recheck:_require_shown", storage.the_reviewer_is_shown_other_bytes),
    Away("placet.engine.transfer:prove", storage.twin_in_the_publication_tier),
    Away("placet.engine.contents:_refuse_twins", storage.twins_before_the_reviewer),
    Away(
        "placet.engine.verify:_check_bytes",
        storage.publication_bucket_overwritten,
        instead=lambda *_: ("", "verified"),
    ),
    Away("placet.engine.transfer:_require_digests", storage.pulled_bytes_are_not_what_their_name_says),
    Away("placet.engine.copying:_require_size", storage.declared_smaller_than_it_is),
    Away("placet.engine.twins:refuse_twins", storage.twin_of_what_was_proposed_before),
    Away("placet.engine.rehash:strays", storage.more_in_the_work_tree, instead=lambda *_: ([], [])),
    Away("placet.engine.scrub:missing", storage.published_object_removed_from_the_bucket, instead=nothing),
    Away("placet.engine.scrub:unneeded", storage.more_in_the_publication_bucket, instead=nothing),
    Away("placet.engine.scrubproof:wrong_bytes", storage.published_object_swapped_in_the_bucket),
    # what a proposal carries
    Away(LAYOUT + "forbidden_in_directory", metafiles.directory_that_escapes),
    Away(LAYOUT + "forbidden_in_directory", metafiles.names_that_escape),
    Away(LAYOUT + "clash", metafiles.names_that_clash),
    Away(LAYOUT + "unsafe", metafiles.artifact_in_a_reserved_place),
    Away(FIREWALL + "require_free", metafiles.artifact_inside_another),
    Away(GATE + "_explained", metafiles.poisoned_files_in_a_merge),
    Away(FIREWALL + "require_own", metafiles.poisoned_files_in_a_proposal),
    Away(FIREWALL + "require_plain", metafiles.program_in_a_proposal),
    Away(HISTORY + "_plain", metafiles.symlink_written_past_the_gate, also=(FIREWALL + "require_canonical",)),
    Away(HISTORY + "History.drift", metafiles.poisoned_configuration_past_the_gate, instead=lambda _: False),
    Away("placet.engine.cases:_publish_problem", metafiles.metafile_with_options),
    Away(
        "placet.engine.cases:_publish_problem",
        metafiles.metafile_with_options_past_the_gate,
        also=(FIREWALL + "require_canonical",),
    ),
    Away(
        "placet.engine.cases:_publish_problem",
        metafiles.forged_import,
        also=(FIREWALL + "require_canonical",),
    ),
    Away(ASSENT + "_over_limits", metafiles.too_large_for_the_policy, instead=nothing),
    Away(ASSENT + "_failed_checks", metafiles.failed_check, instead=nothing),
    Away("placet.core.envelope:_unique", metafiles.more_than_one_truth, instead=dict),
    # approval
    Away(GATE + "_valid", approvals.merge_without_enough_approvals),
    Away(PUBLISHED + "publish_problem", approvals.merge_past_the_gate),
    Away(PUBLISHED + "publish_problem", approvals.publication_by_hand_past_the_gate),
    Away(PUBLISHED + "_complete", approvals.receipt_that_leaves_out_an_artifact),
    Away(GATE + "_judge_published", approvals.publication_by_hand),
    Away(GATE + "_judge_published", approvals.revoked_node_key),
    Away(GATE + "_judge_published", histories.entry_dated_back),
    Away(ASSENT + "unmet", approvals.merge_past_the_gate, instead=lambda *_: []),
    Away(ASSENT + "unmet", approvals.squash_without_the_decisions, instead=lambda *_: []),
    Away(ASSENT + "unmet", approvals.one_organisation, instead=lambda *_: []),
    Away(ASSENT + "excluded", approvals.own_proposal, instead=lambda *_: frozenset()),
    Away(ASSENT + "sees", approvals.approval_without_looking, instead=lambda *_: "bytes"),
    Away(FIREWALL + "require_canonical", approvals.metafile_changed_and_merged),
    Away(
        HISTORY + "History.complete",
        approvals.metafile_changed_on_main,
        also=(FIREWALL + "require_canonical",),
    ),
    Away(HISTORY + "History.stale", approvals.stale_version_lands),
    Away("placet.adapters.git:_lease", approvals.objection_in_the_last_second, instead=lambda _: "--force"),
    Away(
        "placet.engine.cases:seen_level", approvals.approval_that_names_no_bytes, instead=lambda *_: "bytes"
    ),
    Away("placet.core.windows:window_problem", approvals.published_in_a_closed_window),
    Away(HISTORY + "_about", approvals.decision_replayed_for_another_manifest),
    Away(
        HISTORY + "_require_person",
        approvals.decision_by_a_stranger,
        also=(HISTORY + "History._drop_unsigned",),
    ),
    Away(HISTORY + "_require_proposer", approvals.manifest_by_a_stranger),
    Away(
        "placet.engine.observed:_require_witness",
        approvals.reviews_forged_by_a_node,
        also=(HISTORY + "History._drop_unsigned",),
    ),
    Away("placet.core.envelope:Envelope.signed_by", approvals.decision_by_a_stranger, instead=every_key),
    Away(HISTORY + "History._drop_unsigned", approvals.revoked_reviewer_key),
    Away(PUBLISHED + "PublishedLine._check_signer", approvals.another_nodes_publication_past_the_gate),
    Away("placet.core.policymistakes:_double_keys", approvals.one_key_for_two_people, instead=nothing),
    Away("placet.engine.cases:chains", approvals.hidden_objection, instead=unbroken),
    Away("placet.core.statement:_check_times", approvals.expired_before_it_began),
    # history and rule
    Away("placet.engine.cases:succession_problem", histories.old_policy_again),
    Away(HISTORY + "_adoptable", histories.attacker_on_the_roster),
    Away(HISTORY + "_require_root", histories.another_root),
    Away(CTRL + "_compare", histories.rollback),
    Away(GATE + "_continued", histories.parents_swapped, instead=whatever_came),
    Away("placet.adapters.git_process:environment", histories.replaced_commit, instead=dict),
    Away("placet.core.ledger:holds", histories.split_view),
    Away("placet.core.ledger:contradict", histories.two_views_compared_by_files, instead=lambda *_: False),
    Away(
        "placet.engine.checkpoint:signers", histories.checkpoint_by_a_stranger, instead=lambda *_: ("alice",)
    ),
    Away("placet.engine.memory:refuse_rollback", histories.rollback),
    Away("placet.engine.memory:lost_decisions", histories.objection_rolled_back, instead=lambda *_: {}),
    Away("placet.engine.verify:too_old", histories.old_state_served_to_a_researcher, instead=lambda *_: []),
    Away("placet.core.ledger:check_next", histories.entry_from_the_future),
    Away("placet.core.ledger:require_past", histories.entry_from_the_future),
    Away(GATE + "_judge_closed", histories.proposal_closed_by_a_stranger),
    Away(PUBLISHED + "PublishedLine._check_changes", histories.more_in_a_publication),
    Away("placet.engine.takenback:left_over", histories.retracted_and_used_on, instead=lambda *_: {}),
    # freezes
    Away("placet.engine.freeze:frozen", freezes.published_past_a_freeze),
    Away("placet.engine.freeze:require_freezer", freezes.frozen_by_a_stranger),
    Away("placet.engine.freeze:lifters", freezes.unfrozen_by_one_with_two_keys, instead=each_key_a_person),
    Away("placet.engine.freeze:lifters", freezes.unfrozen_by_who_may_not, instead=each_key_a_person),
    Away("placet.engine.thaw:look_again", freezes.frozen_while_the_agent_works),
    Away(
        "placet.engine.memory:unseen_freezes",
        freezes.freeze_dropped,
        instead=lambda *_: [],
        also=("placet.engine.thaw:look_again",),
    ),
    Away("placet.engine.gatefreeze:judge_branch", freezes.freeze_dropped),
    # tiers
    Away("placet.engine.target:_same_place", histories.tier_at_another_place),
    Away("placet.engine.target:_require_apart", histories.tier_is_the_internal_one),
)

# Guards whose mutation check is another test's: it takes them away by `setattr`, and asserts what happens then.
_GATE = "tests/governance/test_gate.py::"
_FIREWALL, _RESEARCHER = "tests/governance/test_firewall.py::", "tests/governance/test_researcher.py::"
_CHECKS, _RECHECK = "tests/checks/test_guards.py::", "tests/checks/test_recheck.py::"
_REVIEW, _CHAIN = "tests/governance/test_review.py::", "tests/governance/test_policy_chain.py::"
_BUNDLE, _VERIFY = "tests/governance/test_bundle.py::", "tests/governance/test_verify.py::"
_WINDOWS, _POLICY = "tests/governance/test_windows.py::", "tests/unit/test_policy.py::"
_FREEZE = "tests/governance/test_freeze.py::"
_LOOKS = (
    "counts:Counts", "formulas:Formulas", "identifiers:Identifiers", "people:Rows", "pickles:Pickles",
    "sacro:Sacro", "secrets:Secrets", "types:Type",
)  # fmt: skip
_ON_GITHUB = "tests/github/test_adapter.py::"
_OBSERVED, _PULL = "tests/governance/test_observations.py::", "tests/unit/test_pulltext.py::"
_SIGHTED = {
    "core.assent:accepted": "test_without_the_guard_a_forge_would_speak_where_no_rule_asks_it",
    "core.assent:node_witnesses": "test_without_the_guard_a_nodes_own_organisation_would_attest",
    "core.sightings:person_of": "test_without_the_guard_an_account_would_be_whoever_says_so",
    "core.sightings:together": "test_without_the_guard_one_of_two_witnesses_would_do",
    "engine.witness:holds": "test_without_the_guard_a_review_of_anything_would_be_witnessed",
    **dict.fromkeys(
        (
            "core.sightings:_word", "core.sightings:reads", "core.sightings:unbroken",
            "engine.observed:_require_about", "engine.observed:_require_content",
        ),
        "test_without_the_guard_a_forged_observation_would_count",
    ),
}  # fmt: skip
_RETRACT = "tests/governance/test_retract.py::"
_REACH = "tests/governance/test_retract_s3.py::test_a_retraction_reaches_those_who_have_it_already"
_TOLD = (
    "engine.clone:refuse_retracted", "engine.ctrl:_follow_fetched", "engine.takenback:taken_back",
)  # fmt: skip
_UNDOING = {
    "core.assent:_retract": "test_who_is_not_named_by_the_policy",
    "core.assent:retract_needs": "test_what_must_be_approved_first",
    "engine.cases:_retract_problem": "test_a_retraction_says_why",
    "engine.cases:require_published": "test_a_retraction_names_what_landed",
    "engine.erase:_needed": "test_what_is_needed_must_be_known_before_anything_is_erased",
    "engine.erase:_require_known": "test_what_is_needed_must_be_known_before_anything_is_erased",
    "engine.erase:_prove": "test_what_does_not_come_back_whole_is_not_restored",
    "engine.promotable:require_none_held": "test_promotions_that_need_its_objects_wait",
    "engine.promotable:undone": "test_a_promotion_overtaken_by_a_retraction_proves_everything_again",
    "engine.retraction:_retract_problem": "test_what_must_be_approved_first",
    "engine.retraction:_confirm_problem": "test_entries_that_nobody_may_add",
    "engine.retraction:_restore_problem": "test_entries_that_nobody_may_add",
    "engine.retraction:retractor_keys": "test_entries_that_nobody_may_add",
    "engine.retraction:accounts": "test_what_its_receipt_must_account_for",
    "engine.retraction:held_back": "test_no_publication_while_it_is_taken_back",
}
ELSEWHERE: dict[str, str] = {
    GATE + "_require_something": _GATE
    + "test_what_was_closed_is_not_removed_by_an_update_from_nothing_to_nothing",
    GATE + "_require_all_decisions": _GATE + "test_a_merge_that_leaves_out_the_withdrawal",
    GATE + "_require_purpose": _GATE + "test_a_stranger_cannot_use_up_the_room_of_a_branch",
    "placet.adapters.git_process:offline": _RESEARCHER
    + "test_a_hostile_clone_configuration_starts_nothing_offline",
    "placet.core.layout:forbidden_artifact": _FIREWALL + "test_names_that_no_artifact_may_have",
    "placet.engine.cases:listable": _FIREWALL + "test_lists_that_nobody_reads_to_their_end",
    "placet.engine.copyout:require_same": "tests/integration/test_mlflow.py::"
    "test_bytes_that_are_not_those_are_never_handed_out",
    "placet.engine.clone:require_approved": _RESEARCHER + "test_a_twin_that_lies_at_its_place_already",
    "placet.engine.clone:require_proven": _RESEARCHER + "test_without_the_guards_the_twin_would_be_placed",
    "placet.engine.clone:require_known_config": _RESEARCHER
    + "test_no_credential_goes_where_a_changed_configuration_points",
    "placet.engine.firewall:require_new": _FIREWALL + "test_without_the_guard_a_decision_could_be_exchanged",
    "placet.engine.contents:require_listable": _FIREWALL + "test_lists_that_nobody_reads_to_their_end",
    "placet.engine.firewall:own_commits": _FIREWALL + "test_the_bounds_are_what_stops_the_reader",
    "placet.engine.firewall:require_derived": _FIREWALL
    + "test_a_policy_proposal_carries_its_policy_and_what_follows_from_it",
    "placet.engine.worktree:require_as_published": _RESEARCHER
    + "test_without_the_guard_a_changed_configuration_would_be_obeyed",
    "placet.engine.worktree:require_no_link": _RESEARCHER
    + "test_without_the_guard_verify_would_go_through_a_linked_folder",
    "placet.engine.worktree:require_object": _RESEARCHER
    + "test_without_the_guard_verify_would_look_elsewhere",
    **{f"placet.checks.{one}.look": _CHECKS + "test_without_a_check_its_attack_passes" for one in _LOOKS},
    "placet.adapters.sandbox:_Session.look": _CHECKS + "test_without_the_sandbox_looking_nothing_is_found",
    "placet.checks.archives:_require_within": _CHECKS + "test_without_the_limits_a_bomb_passes",
    "placet.checks.archives:_safe": _CHECKS + "test_without_the_safety_of_names_a_traversal_passes",
    "placet.checks.metadata:refuse_telling": _RECHECK + "test_without_the_scan_it_would_be_pushed",
    "placet.checks.registry:load": _CHECKS + "test_without_the_registry_a_plug_in_takes_a_built_in_name",
    "placet.checks.registry:read_options": _CHECKS
    + "test_without_the_options_being_read_a_wrong_one_counts_for_nothing",
    "placet.engine.checks:_require_named": _CHECKS + "test_without_the_comparison_other_bytes_are_checked",
    "placet.engine.checks:refuse_failed": _RECHECK + "test_without_the_guard_it_would_publish",
    "placet.engine.recheck:recheck": _RECHECK + "test_without_the_guard_it_would_publish",
    "placet.cli.clean:clean": "tests/unit/test_show.py::test_nothing_hostile_reaches_the_terminal",
    "placet.engine.cases:check_comments": _REVIEW + "test_comments_are_about_artifacts_of_the_proposal",
    "placet.engine.review:check_seen": _REVIEW + "test_a_decision_names_what_was_seen",
    "placet.engine.review:check_shown": _REVIEW + "test_what_was_shown_is_what_is_approved",
    "placet.core.policymistakes:_accounts": _POLICY
    + "test_two_accounts_are_one_person_only_because_the_reader_says_so",
    "placet.adapters.gitmemory:require_tree": "tests/contract/test_git_memory.py::"
    "test_the_tree_is_what_refuses_changes_that_are_left_out",
    "placet.engine.bundle:checkpoint_problem": _BUNDLE
    + "test_a_list_or_a_checkpoint_of_something_else_is_what_the_guards_refuse",
    "placet.engine.bundle:is_list": _BUNDLE
    + "test_a_list_or_a_checkpoint_of_something_else_is_what_the_guards_refuse",
    "placet.engine.bundle:unpinned": _BUNDLE + "test_a_trust_root_comes_from_elsewhere_or_proves_nothing",
    "placet.engine.memory:refuse_old_server": "tests/governance/test_history.py::"
    "test_a_clone_may_lag_behind_but_what_it_fetches_may_not",
    "placet.engine.rehash:check_data": _VERIFY + "test_the_other_twin_has_the_same_md5_and_is_found",
    "placet.engine.rehash:metafile_problem": _VERIFY + "test_a_metafile_that_is_not_the_approved_one",
    "placet.engine.freeze:require_named": _FREEZE + "test_without_these_guards_other_statements_would_count",
    "placet.engine.freeze:require_plain": _FREEZE + "test_without_these_guards_other_statements_would_count",
    "placet.engine.gatefreeze:require_fair": _FREEZE + "test_nobody_has_more_than_so_many",
    "placet.engine.gatefreeze:_require_new": _FREEZE + "test_nobody_fills_main_with_ends_of_freezes",
    "placet.engine.gate:_late": _CHAIN + "test_an_expired_policy_proposal_does_not_land",
    "placet.engine.promote:_require_key": _CHAIN + "test_an_agent_with_an_old_key_would_break_the_branch",
    "placet.engine.promotable:require_open": _WINDOWS + "test_a_window_that_begins_after_the_decision",
    "placet.engine.propose:_require_open": _CHAIN + "test_nobody_locks_everybody_out",
    **{f"placet.{guard}": _RETRACT + test for guard, test in _UNDOING.items()},
    **{f"placet.{guard}": _OBSERVED + test for guard, test in _SIGHTED.items()},
    "placet.adapters.forge.github_record:Record.reviewed": _ON_GITHUB
    + "test_without_the_guard_an_approval_would_follow_a_forced_push",
    **{
        f"placet.core.markdown:{one}": _PULL + "test_without_the_guard_it_would"
        for one in ("block", "code", "link", "title")
    },
    **{f"placet.{guard}": _REACH for guard in _TOLD},
}
