//! T11: what every store has to do, as a list of cases. A case that is not in the list is dead code
//! and does not compile clean; [`store_conformance`](crate::store_conformance) makes one test of
//! each case for each store.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;

use crate::desired::Provisioned;
use crate::store::{Store, StoredRun};
use crate::testing::conformance::maker::must;

mod amid;
mod append;
mod budgets;
mod bytes;
mod calls;
mod changes;
mod claim;
mod elsewhere;
mod guards;
mod kinds;
mod list;
mod locks;
pub(super) mod maker;
pub(super) mod prune;
mod records;
mod start;
mod surveys;
mod together;
mod turns;

/// A store for one case, and whatever has to live as long (a temporary directory).
pub struct Fresh {
    /// The store, empty.
    pub store: Arc<dyn Store>,
    /// Opens the same store again, if it outlives its process.
    pub reopen: Option<Reopen>,
    /// Dropped after the case.
    pub keep: Box<dyn Any + Send>,
}

/// Opens a store again, or once more beside itself.
pub type Reopen = Arc<dyn Fn() -> Arc<dyn Store> + Send + Sync>;

tokio::task_local! {
    static BESIDE: Option<Reopen>;
}

/// The case's store as another process has it, if it has more than one.
fn beside() -> Option<Arc<dyn Store>> {
    BESIDE.with(|open| open.as_ref().map(|open| open()))
}

impl Fresh {
    /// A store that leaves nothing behind.
    pub fn new(store: impl Store + 'static) -> Self {
        Self { store: Arc::new(store), reopen: None, keep: Box::new(()) }
    }

    /// The same, and how to open it again: after each case it must hold what it held.
    #[must_use]
    pub fn reopening<S: Store + 'static>(
        mut self,
        open: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        self.reopen = Some(Arc::new(move || Arc::new(open())));
        self
    }

    /// The same, with what has to live as long.
    #[must_use]
    pub fn keeping(mut self, keep: impl Any + Send) -> Self {
        self.keep = Box::new(keep);
        self
    }
}

type Store_ = Arc<dyn Store>;
type Run = fn(Store_) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs the case of this name against a fresh store; what it left there must be there again when
/// the store is closed and opened.
///
/// # Panics
/// If the store does not conform, or there is no such case.
#[expect(clippy::expect_used, reason = "testing code reports by panic")]
pub fn run(name: &str, fresh: Fresh) {
    let case = CASES.iter().find(|(known, _)| *known == name).expect("a case of this name");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let Fresh { store, reopen, keep } = fresh;
        BESIDE.scope(reopen.clone(), (case.1)(Arc::clone(&store))).await;
        if let Some(reopen) = reopen {
            let held = contents(&*store).await;
            drop(store);
            assert_eq!(contents(&*reopen()).await, held, "opened again it holds something else");
        }
        drop(keep);
    });
}

/// Everything that a store holds, who owns what apart: an owner dies with its process.
async fn contents(store: &dyn Store) -> (Vec<StoredRun>, Vec<Provisioned>) {
    let mut runs = must(store.scan(None, usize::MAX).await);
    for run in &mut runs {
        run.owner = None;
    }
    (runs, must(store.provisioned(None).await))
}

macro_rules! suite {
    ($d:tt $($module:ident: $($case:ident)+;)+) => {
        /// Every case, by name.
        pub const CASES: &[(&str, Run)] =
            &[$($((stringify!($case), |store| Box::pin($module::$case(store)))),+),+];

        /// One test of each conformance case, in a module of this name, for the stores that the
        /// expression makes (a [`Fresh`](crate::testing::conformance::Fresh)).
        ///
        /// ```
        /// use walkback::{MemoryStore, testing::conformance::Fresh};
        /// walkback::store_conformance!(memory, Fresh::new(MemoryStore::new()));
        /// # fn main() {}
        /// ```
        #[macro_export]
        macro_rules! store_conformance {
            ($d name:ident, $d fresh:expr) => {
                mod $d name {
                    use super::*;
                    $($(
                        #[test]
                        fn $case() {
                            $crate::testing::conformance::run(stringify!($case), $d fresh);
                        }
                    )+)+
                }
            };
        }
    };
}

suite! { $
    locks:
        a_lock_has_one_holder
        a_lock_that_is_its_own_is_taken_again
        a_limit_has_so_many_holders
        a_lock_needs_a_claim_that_holds
        a_lock_is_held_until_its_run_is_settled
        a_limit_ends_when_its_run_is_at_its_end
        nobody_waits_for_what_is_free
        who_waits_longest_is_due_when_a_lock_is_let_go
        who_is_just_about_to_wait_is_due_at_once
        whoever_owns_a_waiter_hears_of_it
        a_lock_can_be_taken_without_a_claim
        of_many_at_once_one_has_the_lock;
    start:
        a_started_run_can_be_loaded
        a_start_without_an_owner_is_nobodys
        a_start_with_an_owner_gives_a_claim_that_may_write
        a_start_for_a_worker_that_has_left_stores_nothing
        nor_does_one_with_labels
        the_first_claim_has_fence_one
        a_key_starts_one_run
        a_known_key_gives_back_the_spec_of_its_run
        a_known_key_stores_nothing
        runs_without_a_key_are_never_the_same
        a_known_id_is_an_error_and_stores_nothing
        keys_are_told_apart_by_case_and_space
        of_fifty_racing_starts_one_wins
        the_winner_of_racing_starts_is_the_one_that_losers_read
        labels_priority_queue_and_deadline_are_kept
        what_is_not_there_is_not_loaded;
    append:
        a_claimed_append_adds_its_rows_and_its_head
        an_append_of_another_claim_is_refused
        an_append_of_a_claim_that_was_followed_is_refused
        an_append_of_another_length_is_refused
        an_append_to_a_longer_ledger_is_refused
        an_append_twice_is_applied_once
        an_append_after_release_is_refused
        an_append_after_retire_is_refused
        an_append_to_no_run_is_refused
        a_refused_append_changes_nothing
        an_append_of_no_rows_only_releases
        an_append_may_add_many_rows
        an_outsider_appends_to_a_run_nobody_owns
        an_outsider_appends_to_a_run_somebody_owns
        an_outsiders_append_of_another_length_is_refused
        an_outsiders_append_keeps_the_owner
        an_owner_is_refused_after_an_outsider_wrote
        an_owner_that_read_again_may_write
        an_outsider_may_take_a_run_from_its_owner
        rows_are_read_from_a_place_on
        the_head_alone_is_the_head_of_the_run;
    claim:
        what_is_due_is_claimed
        what_is_not_due_is_not_claimed
        what_has_no_time_is_not_claimed
        what_is_owned_is_not_claimed
        a_claim_carries_the_whole_run
        a_second_claim_has_the_next_fence
        two_claims_never_share_an_id
        an_orphan_is_claimed_though_it_has_no_time
        an_orphan_is_said_to_be_one_once
        what_was_released_is_no_orphan
        a_higher_priority_is_claimed_first
        what_is_due_longer_is_claimed_first
        a_claim_takes_no_more_than_its_limit
        a_worker_claims_only_from_its_queues
        a_worker_without_queues_claims_from_all
        the_next_due_is_the_earliest
        the_next_due_is_of_the_queues_asked_for
        the_next_due_leaves_out_what_is_owned
        a_nudge_tells_the_owner_once
        a_nudge_tells_nobody_else
        the_owners_own_append_ends_a_nudge
        a_second_worker_is_told_of_the_first
        after_retiring_another_may_enlist
        a_worker_that_has_left_is_told_so
        what_a_worker_cannot_do_is_left_for_others
        an_orphan_that_was_left_alone_is_still_one
        news_tell_when_the_hook_is_to_be_called
        a_worker_is_listed_with_what_it_knows_and_has
        news_tell_whether_others_work;
    list:
        a_list_is_newest_first
        a_list_is_cut_to_its_limit
        a_list_goes_on_after_a_run
        a_list_is_filtered_by_status
        a_list_is_filtered_by_kind
        a_list_is_filtered_by_every_label
        a_list_is_filtered_by_why_it_is_parked
        a_list_is_filtered_by_what_needs_a_person
        filters_add_up
        an_empty_store_lists_nothing
        a_scan_reads_every_run_once
        a_scan_is_in_the_order_of_ids
        a_scan_shows_rows_and_heads;
    bytes:
        unicode_comes_back_as_it_was
        escaped_nul_comes_back_as_it_was
        large_numbers_come_back_as_they_were
        white_space_comes_back_as_it_was
        members_keep_their_order_and_their_doubles
        the_largest_input_comes_back_as_it_was
        the_largest_output_comes_back_as_it_was
        names_may_hold_anything
        the_first_and_the_last_moment_come_back;
    kinds:
        a_row_accepted_comes_back
        a_row_start_delayed_comes_back
        a_row_started_comes_back
        a_row_completed_by_its_body_comes_back
        a_row_completed_by_a_probe_comes_back
        a_row_completed_by_hand_comes_back
        a_row_completed_by_a_signal_comes_back
        a_row_completed_by_an_approval_comes_back
        a_row_completed_by_expiry_comes_back
        a_row_failed_clean_comes_back
        a_row_failed_unknown_comes_back
        a_row_failed_and_retried_comes_back
        a_row_failed_and_held_comes_back
        a_row_failed_and_parked_comes_back
        a_row_waiting_for_a_moment_comes_back
        a_row_waiting_for_a_signal_comes_back
        a_row_waiting_for_a_signal_until_comes_back
        a_row_waiting_for_an_approval_comes_back
        a_row_waiting_for_an_approval_until_comes_back
        a_row_waiting_for_a_lock_comes_back
        a_row_of_locks_taken_comes_back
        a_row_probed_absent_comes_back
        a_row_probed_absent_too_soon_comes_back
        a_row_probed_without_an_answer_comes_back
        a_row_undo_started_comes_back
        a_row_undo_completed_comes_back
        a_row_undo_failed_and_retried_comes_back
        a_row_undo_failed_for_good_comes_back
        a_row_undo_failed_and_parked_comes_back
        a_row_undo_waiting_comes_back
        a_row_undo_probed_and_found_comes_back
        a_row_undo_probed_in_vain_comes_back
        a_row_came_late_and_left_comes_back
        a_row_came_late_comes_back
        a_row_taken_over_comes_back
        a_row_handed_over_comes_back
        a_row_deadline_passed_comes_back
        a_row_hold_ended_comes_back
        a_row_hold_set_comes_back
        a_row_cancel_requested_comes_back
        a_row_pause_requested_comes_back
        a_row_resumed_comes_back
        a_row_resumed_with_edits_comes_back
        a_row_retry_of_all_requested_comes_back
        a_row_retry_of_one_requested_comes_back
        a_row_skipped_comes_back
        a_row_resolved_comes_back
        a_row_abandoned_comes_back
        a_row_rollback_requested_comes_back
        a_row_signal_received_comes_back
        a_row_signal_received_with_an_id_comes_back
        a_row_step_parked_comes_back
        a_row_parked_paused_comes_back
        a_row_parked_held_comes_back
        a_row_parked_unknown_outcome_comes_back
        a_row_parked_pivot_unknown_comes_back
        a_row_parked_behind_pivot_comes_back
        a_row_parked_body_still_running_comes_back
        a_row_parked_undo_halted_comes_back
        a_row_parked_cannot_decode_comes_back
        a_row_parked_poison_comes_back
        a_row_parked_no_capable_worker_comes_back
        a_row_parked_ledger_full_comes_back
        a_row_parked_restored_comes_back
        a_row_restored_comes_back
        a_row_hook_delivered_comes_back
        a_row_hook_failed_comes_back;
    budgets:
        what_may_be_made_at_once_is_and_the_next_waits
        budgets_are_apart_by_their_keys
        a_reserve_is_left_to_the_urgent
        a_budget_fills_up_again_and_not_over;
    turns:
        who_has_nothing_to_claim_takes_no_place
        nobody_has_two_turns_at_once
        a_party_is_served_by_priority
        turns_are_of_the_queues_and_the_steps_asked_for
        every_tenant_gets_a_turn
        turns_go_round_about
        queues_take_turns_too
        a_turn_does_not_come_before_a_higher_priority
        what_is_not_due_has_no_turn;
    amid:
        what_is_refused_alone_is_refused_amid_others
        each_is_written_to_its_own_run
        what_is_closed_amid_others_is_closed_once
        of_many_that_are_pruned_each_goes_or_stays;
    elsewhere:
        who_is_taken_for_dead_elsewhere_claims_nothing
        who_is_taken_for_dead_elsewhere_starts_nothing
        nobody_leaves_for_another;
    guards:
        a_change_of_a_row_that_is_closed_is_refused_though_others_look_like_it
        a_change_says_who_changed_it_before_and_what_was_wanted
        what_is_closed_with_a_row_is_closed_once
        others_things_are_neither_gone_nor_back_with_one
        what_another_provider_has_is_new_here
        whoever_waits_for_another_key_is_not_woken
        others_keep_their_locks_and_their_records_when_one_is_pruned
        a_thing_is_gone_when_nobody_wants_it_any_more
        what_was_closed_once_is_left_alone
        what_was_closed_once_is_not_removed_again
        a_change_is_of_one_step_of_one_run
        what_is_taken_back_is_of_one_step_of_one_run
        an_older_change_is_not_taken_back_before_a_newer_one
        what_another_changed_instead_is_not_taken_back
        a_survey_tells_of_its_provider_and_its_kinds_alone
        an_older_survey_that_comes_late_proves_nothing
        whoever_holds_is_not_woken_for_another_place
        whoever_waits_no_more_is_passed_over
        a_lock_is_not_let_go_by_anothers_end
        what_a_failed_run_lets_go_depends_on_what_is_left
        what_others_own_keeps_nobody_from_being_pruned
        others_keep_their_labels_when_one_is_pruned;
    changes:
        another_run_may_change_what_was_made
        another_thing_may_stand_for_what_was_made
        what_stands_for_something_else_is_taken_back
        a_change_that_comes_too_late_writes_nothing
        another_run_may_remove_what_was_made
        a_change_is_taken_back
        a_removal_is_taken_back
        what_somebody_changed_since_is_not_taken_back;
    surveys:
        what_is_seen_is_kept
        what_was_made_is_no_news_and_is_wanted
        what_is_missing_twice_is_gone
        what_comes_back_was_only_overlooked
        what_is_made_during_a_survey_is_not_missed;
    records:
        a_record_is_opened_with_its_row
        a_record_is_closed_with_its_row
        a_refused_append_opens_no_record
        a_refused_append_closes_no_record
        records_are_listed_by_run
        records_of_two_steps_are_two
        the_owners_of_a_thing_are_all_that_have_it_open
        who_has_closed_its_row_owns_nothing
        the_sole_owner_may_append
        one_of_two_owners_may_not;
    prune:
        runs_are_archived_with_all_there_is_of_them
        a_pruned_run_is_gone_whole
        a_pruned_run_leaves_its_stone
        a_pruned_runs_key_is_free
        a_run_is_pruned_once
        what_is_not_there_is_not_pruned
        what_was_written_to_since_is_not_pruned
        another_ledger_is_not_pruned
        what_has_not_ended_is_not_pruned
        what_has_something_left_is_not_pruned
        what_somebody_owns_is_not_pruned
        what_owns_something_live_is_not_pruned
        a_list_is_filtered_by_what_may_be_pruned;
    calls:
        nobody_is_called_for_a_run_that_needs_nobody
        a_call_is_due_until_it_was_made
        a_call_that_failed_is_due_again_later
        the_soonest_calls_come_first;
    together:
        of_appends_of_one_length_exactly_one_is_applied
        an_owner_and_an_outsider_do_not_both_win
        many_runs_appends_each_have_their_own_verdict
        many_workers_claim_every_run_once
        many_starts_at_once_are_all_there;
}
