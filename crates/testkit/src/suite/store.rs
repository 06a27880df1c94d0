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
            accepted_work_is_there_on_return
            the_same_id_again_gives_what_it_became
            the_same_id_again_is_known_after_its_sweep
            every_id_is_known_after_a_sweep_of_many
            sequences_grow_with_submits
            a_stale_policy_is_refused
            limits_of_a_newer_policy_are_taken
            reported_work_begins_at_once_without_owner
            delayed_work_is_not_claimed_before_its_time
            claim_for_takes_it_at_once_when_there_is_room
            claim_for_does_not_overtake_waiters
            claim_for_passes_the_less_urgent
            claim_for_respects_the_room_for_roots
            or_refuse_names_the_holders
            or_refuse_names_the_roots_of_a_full_node
            claim_for_needs_the_newest_lease
            claim_for_waits_behind_whoever_this_node_may_run
            claim_for_takes_nothing_of_a_held_key
            or_refuse_refuses_who_would_wait_for_a_slot
            a_repeated_launch_key_returns_the_first_process
            a_repeated_launch_key_reports_a_different_spec
            a_launch_key_ignores_the_inherited_environment
            a_launch_key_belongs_to_its_session
            a_launch_key_outlives_its_process
            a_missing_parent_is_refused
            a_closing_parent_gets_no_children
            a_closing_ancestor_closes_the_whole_tree
            below_the_child_of_one_that_is_over_work_goes_on
            one_that_ended_before_its_descendants_keeps_its_tree_closed
            a_change_for_the_childless_is_refused_while_a_descendant_lives
            a_child_joins_before_the_end_or_not_at_all
            other_parents_are_open
            a_parent_that_waits_for_its_children_is_open
            a_tree_that_was_told_to_end_gets_no_children
            a_level_counts_who_waits_for_its_children
            a_tree_too_deep_is_refused
            a_full_level_is_refused_until_one_ends
            a_key_held_by_its_own_ancestors_is_refused
            a_key_held_by_its_own_ancestors_is_refused_to_delayed_work
            a_key_held_by_a_stranger_too_is_waited_for
            a_claim_begins_an_attempt
            an_old_lease_claims_nothing
            a_claim_is_no_larger_than_its_batch
            roots_fill_the_room_for_roots
            a_child_passes_a_root_without_room
            a_pinned_waiter_blocks_nobody
            a_claim_takes_only_its_classes
            reported_work_is_never_owned
            reported_work_keeps_the_node_that_it_named
            a_claim_begins_with_fresh_vitals
            a_tree_of_waiting_parents_never_stalls
            higher_priority_goes_first
            the_earlier_submit_goes_first
            the_key_served_least_recently_goes_first
            a_retry_keeps_its_sequence
            what_never_ran_goes_back_to_its_place
            the_order_of_claim_is_the_pure_rule
            slots_of_a_key_are_never_exceeded
            only_limited_keys_have_a_limit
            a_slot_returns_on_every_ending
            a_slot_returns_between_attempts
            a_slot_returns_before_the_children_have_ended
            a_slot_returns_whatever_ends_its_holder
            paused_and_stopping_work_holds_its_slot
            a_conflict_writes_nothing
            a_commit_on_an_old_revision_is_a_conflict_for_every_writer
            the_same_op_gets_the_same_answer
            an_answer_outlives_its_record
            only_the_owner_writes
            an_old_lease_writes_nothing
            an_old_lease_writes_nothing_that_nobody_owns
            anyone_writes_what_has_no_owner
            a_missing_process_is_told
            what_ended_keeps_its_node
            events_are_revision_and_index
            a_commit_without_events_counts
            one_of_many_changes_wins
            an_end_is_written_once
            wishes_are_numbered
            the_same_wish_gets_the_same_number
            at_most_sixteen_wishes_are_open
            a_full_inbox_takes_orders_to_end
            wishes_are_taken_by_the_commit_that_answers_them
            a_wish_for_nobody_is_told
            a_wish_calls_the_owner
            the_latest_vitals_win
            vitals_outlive_a_commit
            vitals_of_what_ended_are_a_conflict
            vitals_of_another_attempt_are_a_conflict
            only_the_owner_tells_vitals
            anyone_tells_vitals_of_reported_work
            vitals_are_answered_in_order
            records_are_loaded_in_the_order_of_the_question
            pages_are_newest_first
            a_page_holds_one_to_a_thousand_records
            pages_are_stable_whatever_happens
            a_cursor_needs_no_record
            each_field_of_a_filter_filters
            a_session_lists_its_processes_on_every_node
            a_short_prefix_finds_every_id_that_begins_so
            a_due_row_is_handed_out_once_in_five_seconds
            a_decided_row_is_not_handed_out
            a_commit_ends_the_five_seconds
            only_ownerless_due_rows_are_handed_out
            who_waits_for_its_children_is_handed_out
            an_unfinished_cascade_is_handed_out_until_it_is_done
            an_open_wish_without_owner_is_handed_out
            an_open_wish_without_owner_calls
            a_waiter_is_due_at_the_end_of_its_grace
            attention_hands_out_the_longest_due_first
            an_old_lease_gets_no_attention
            a_sweep_never_takes_live_records
            a_sweep_takes_the_oldest_first
            a_sequence_is_not_used_again_after_a_sweep
            a_sweep_by_count_spares_the_last_day
            a_sweep_up_to_a_moment_spares_what_ended_later
            a_sweep_tells_how_many_were_ever_let_go
            a_sweep_without_bounds_takes_nothing
            the_policy_is_versioned
            a_stale_change_of_the_policy_is_refused
            changed_limits_count_at_the_next_claim
            a_held_key_gives_nobody_a_slot
            queues_stand_in_the_order_of_their_keys
            queues_show_holders_and_waiters_in_order
            a_hold_is_kept_with_its_moment_and_its_author
            a_waiter_by_labels_tells_its_class
            a_moved_waiter_takes_its_new_place
            a_moved_waiter_brings_its_key_forward
            a_move_lasts
            cursors_grow_and_go_on
            the_end_is_behind_the_newest_event
            a_reader_that_waits_parks_until_something_happens
            refused_writes_leave_no_event
            a_trimmed_log_says_that_there_is_a_gap
            epochs_grow_with_each_registration
            a_new_registration_keeps_what_the_node_owned
            nodes_are_listed_until_they_leave
            whoever_leaves_keeps_what_it_owns
            an_old_lease_takes_no_newer_node_with_it
            whoever_leaves_keeps_its_lease
            whoever_joins_is_called_to_what_is_there
            a_beat_tells_time_policy_and_due
            a_waiter_calls
            a_freed_slot_calls
            a_changed_policy_calls
            an_earlier_due_row_calls
            an_answered_call_is_not_repeated
            news_between_calls_is_not_lost
            every_node_is_called
            whoever_is_replaced_while_waiting_is_told
            a_node_that_owns_processes_belongs_to_its_state_directory
            a_node_that_left_with_unfinished_processes_belongs_to_its_state_directory
            a_node_that_left_nothing_behind_is_anybodys
            a_home_that_was_moved_is_the_same
            a_registration_without_a_home_gets_the_name
            homes_are_listed
            concurrent_writers_break_no_promise
            two_runs_of_a_node_never_both_write
            one_of_many_claims_gets_each_waiter
        }
    };
}
