//! Contract of every store.

mod at_once;
mod claim;
mod commit;
mod contention;
mod cut;
mod draft;
mod durable;
mod endings;
mod events;
mod launch;
mod lease;
mod list;
mod live_stats;
mod maintenance;
mod membership;
mod node_home;
mod order;
mod output_tails;
mod pending_actions;
mod queues;
mod slots;
mod submit;
mod tree;
mod world;

pub use at_once::*;
pub use claim::*;
pub use commit::*;
pub use contention::*;
pub use cut::*;
pub use draft::SubmissionBuilder;
pub use durable::*;
pub use endings::*;
pub use events::*;
pub use launch::*;
pub use lease::*;
pub use list::*;
pub use live_stats::*;
pub use maintenance::*;
pub use membership::*;
pub use node_home::*;
pub use order::*;
pub use output_tails::*;
pub use pending_actions::*;
pub use queues::*;
pub use slots::*;
pub use submit::*;
pub use tree::*;
pub use world::{ConnectionCut, StoreFixture, open};
pub(crate) use world::{claimant, exited, never_ran, node_id, room, spawned};

/// Generates one test for each rule about stores.
///
/// Takes an async function from a [`VirtualClock`](crate::fakes::VirtualClock) to a [`StoreFixture`] around an empty
/// store. The function is called inside a multi-threaded runtime. The rules advance the clock by up to one day. If the
/// leases of the store expire, use leases of one week for this suite, and short leases for
/// [`leased_store_suite`](crate::leased_store_suite).
#[macro_export]
macro_rules! store_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            async $open, store,
            a_submitted_process_exists_when_the_call_returns
            a_repeated_submission_returns_the_current_record
            a_repeated_submission_is_recognized_after_a_prune
            every_id_is_known_after_a_prune_of_many_records
            sequence_numbers_increase_with_each_submission
            a_submission_with_limits_of_an_older_policy_is_refused
            a_submission_with_limits_of_a_newer_policy_is_accepted
            reported_work_starts_immediately_without_owner
            delayed_work_is_not_claimed_before_its_time
            an_immediate_claim_succeeds_with_a_free_slot
            an_immediate_claim_does_not_overtake_waiting_processes
            an_immediate_claim_overtakes_processes_of_lower_priority
            an_immediate_claim_respects_the_root_limit
            a_refused_launch_names_the_slot_holders
            a_refused_launch_names_the_roots_of_a_full_node
            an_immediate_claim_needs_the_newest_lease
            an_immediate_claim_does_not_overtake_a_process_that_this_node_may_run
            an_immediate_claim_takes_no_slot_of_a_held_key
            a_launch_that_must_not_wait_is_refused_without_a_free_slot
            a_repeated_launch_key_returns_the_first_process
            a_repeated_launch_key_reports_a_different_spec
            a_launch_key_ignores_the_inherited_environment
            a_launch_key_belongs_to_its_session
            a_launch_key_outlives_its_process
            a_missing_parent_is_refused
            an_ending_parent_gets_no_children
            an_ending_ancestor_closes_the_whole_tree
            children_of_an_ended_process_can_still_get_children
            a_terminated_tree_stays_closed_until_all_descendants_have_ended
            a_change_that_requires_no_descendants_is_refused_while_a_descendant_is_live
            a_child_joins_before_the_end_of_its_parent_or_not_at_all
            paused_processes_and_reported_work_can_get_children
            children_of_a_waiting_parent_can_get_children
            a_terminated_tree_gets_no_children
            a_level_counts_processes_that_wait_for_their_children
            a_child_beyond_the_maximum_level_is_refused
            a_full_level_refuses_children_until_a_process_ends
            a_launch_whose_ancestors_hold_all_slots_is_refused
            delayed_work_whose_ancestors_hold_all_slots_is_refused
            a_launch_waits_if_another_process_also_holds_the_key
            a_claim_starts_an_attempt
            an_old_lease_claims_nothing
            a_claim_returns_at_most_the_requested_number
            roots_are_claimed_up_to_the_root_limit
            a_child_overtakes_a_root_without_a_free_root_slot
            a_pinned_waiting_process_blocks_no_other_process
            a_claim_takes_only_the_requested_placement_classes
            reported_work_is_never_owned
            reported_work_keeps_the_node_name_of_its_spec
            a_new_attempt_starts_with_empty_live_stats
            waiting_parents_never_block_their_children
            a_higher_priority_is_claimed_first
            the_earlier_submission_is_claimed_first
            the_least_recently_served_key_is_claimed_first
            a_retry_keeps_its_position_in_the_queue
            a_process_that_never_ran_returns_to_its_position
            the_order_of_claims_follows_the_domain_rule
            slots_of_a_key_are_never_exceeded
            only_limited_keys_have_a_limit
            a_slot_returns_on_every_ending
            a_slot_returns_between_attempts
            a_slot_returns_before_the_children_have_ended
            slots_are_correct_after_every_change
            paused_and_stopping_work_holds_its_slot
            a_conflict_writes_nothing
            a_commit_on_an_old_revision_is_a_conflict_for_every_writer
            a_repeated_operation_gets_the_same_answer
            an_answer_survives_the_pruning_of_its_record
            only_the_owner_writes_an_owned_process
            an_old_lease_writes_nothing
            an_old_lease_writes_no_process_without_an_owner
            any_engine_writes_a_process_without_an_owner
            a_commit_for_an_unknown_process_is_refused
            an_ended_process_keeps_its_node
            events_are_numbered_by_revision_and_index
            a_commit_without_events_increases_the_revision
            one_of_many_concurrent_commits_is_written
            an_end_is_written_once
            pending_actions_are_numbered
            a_repeated_pending_action_gets_the_same_number
            at_most_sixteen_actions_are_pending
            a_full_list_of_pending_actions_accepts_actions_that_end_the_process
            a_commit_removes_the_pending_actions_that_it_executes
            a_pending_action_for_an_unknown_process_is_refused
            a_pending_action_notifies_the_owner
            only_the_latest_live_stats_are_stored
            live_stats_survive_a_commit
            live_stats_of_an_ended_process_are_a_conflict
            live_stats_of_another_attempt_are_a_conflict
            only_the_owner_updates_live_stats
            any_engine_updates_live_stats_of_reported_work
            live_stats_results_are_in_the_order_of_the_updates
            records_are_loaded_in_the_requested_order
            pages_list_the_newest_process_first
            a_page_contains_one_to_a_thousand_records
            pages_are_stable_during_changes
            a_cursor_needs_no_record
            each_condition_of_a_filter_takes_effect
            a_session_lists_its_processes_on_every_node
            a_short_prefix_finds_every_matching_id
            a_due_process_is_handed_out_once_in_five_seconds
            a_decided_process_is_not_handed_out
            a_commit_ends_the_reservation_of_a_due_process
            only_due_processes_without_an_owner_are_handed_out
            a_process_that_waits_for_its_children_is_handed_out
            an_unfinished_cascade_is_handed_out_until_it_is_finished
            a_pending_action_without_owner_is_handed_out
            a_pending_action_without_owner_notifies_every_node
            a_waiting_process_is_due_at_the_end_of_its_grace_period
            the_longest_due_processes_are_handed_out_first
            an_old_lease_gets_no_due_processes
            a_prune_never_deletes_live_records
            a_prune_deletes_the_oldest_records_first
            a_sequence_number_is_not_reused_after_a_prune
            a_prune_by_count_keeps_the_records_of_the_last_day
            a_prune_up_to_a_time_keeps_records_that_ended_later
            a_prune_returns_the_total_number_of_pruned_records
            a_prune_without_limits_deletes_nothing
            each_change_of_the_policy_gets_a_new_version
            a_policy_change_based_on_an_older_version_is_refused
            changed_limits_apply_at_the_next_claim
            a_held_key_starts_no_process
            queues_are_sorted_by_key
            queues_list_running_and_waiting_processes_in_order
            a_hold_is_stored_with_its_time_and_author
            the_store_reports_the_label_sets_of_waiting_processes
            a_moved_process_takes_its_new_position
            a_changed_priority_counts_across_keys
            a_changed_priority_is_kept_for_later_attempts
            cursors_increase_and_pages_continue
            a_read_from_the_end_returns_only_later_events
            a_waiting_read_returns_with_the_next_event
            refused_writes_leave_no_event
            a_trimmed_log_reports_the_gap
            each_registration_increases_the_epoch
            a_new_registration_keeps_the_processes_of_the_node
            nodes_are_listed_until_they_leave
            a_node_that_leaves_keeps_its_processes
            a_leave_under_an_old_lease_does_not_affect_the_newer_registration
            a_node_that_leaves_keeps_its_lease
            a_registered_node_is_notified_of_existing_work
            a_renewal_returns_time_policy_version_and_due_time
            a_new_waiting_process_notifies_a_node
            a_freed_slot_notifies_the_nodes
            a_changed_policy_notifies_the_nodes
            an_earlier_due_time_notifies_the_nodes
            a_received_notification_is_not_repeated
            a_change_between_two_waits_is_not_lost
            a_notification_reaches_every_node
            a_wait_fails_if_the_node_registers_again
            a_node_that_owns_processes_belongs_to_its_state_directory
            a_node_that_left_with_unfinished_processes_belongs_to_its_state_directory
            a_node_name_without_unfinished_processes_is_free_after_a_leave
            a_moved_state_directory_is_the_same
            a_registration_without_a_state_directory_takes_over_the_name
            state_directories_of_nodes_are_listed
            concurrent_writers_break_no_promise
            two_runs_of_a_node_never_both_write
            each_waiting_process_is_claimed_by_one_node
        }
    };
}
