use super::*;
use crate::branch::PreparedId;

const GRACE: Duration = Duration::from_millis(10);

fn name(text: &str) -> ParticipantName {
    text.parse().expect("well formed")
}

fn id(text: &str) -> TransactionId {
    text.parse().expect("well formed")
}

fn two() -> Participants {
    Participants::new([name("mysql"), name("redis")], Timestamp(0))
}

#[test]
fn participant_is_down_since_it_was_lost_first() {
    let mut two = two();
    assert_eq!(two.down_since(), Some(Timestamp(0)));
    two.enlist(&name("mysql"), "life-1".into(), false);
    two.enlist(&name("redis"), String::new(), true);
    assert!(two.are_all_up() && two.are_all_enlisted());
    two.set_down(Timestamp(20), &name("redis"), "refused".into());
    two.set_down(Timestamp(25), &name("redis"), "no route".into());
    assert_eq!(two.down_for(Timestamp(29), GRACE), None);
    let said = two.down_for(Timestamp(30), GRACE);
    assert_eq!(
        said.as_deref(),
        Some("participant redis is unavailable: no route")
    );
    // What it has shown of itself stays.
    assert!(two.are_all_enlisted() && two.refuses_singly(&name("redis")));
}

#[test]
fn calls_of_who_is_down_wait() {
    let mut two = two();
    let branch = id("shop.1.1").at(&name("mysql"));
    two.wait(&branch, Timestamp(5));
    assert_eq!(two.next_call(1), None);
    assert_eq!(two.begin_call(Timestamp(9), &name("mysql"), 1), None);
    two.enlist(&name("mysql"), String::new(), false);
    assert_eq!(two.next_call(1), Some(Timestamp(5)));
    let begun = two.begin_call(Timestamp(9), &name("mysql"), 1);
    assert_eq!(begun.as_ref(), Some(&branch));
    assert!(!two.have_no_calls());
    two.end_call(&branch);
    assert!(two.have_no_calls());
}

#[test]
fn branch_is_back_for_good_when_two_sweeps_show_it() {
    let mut two = two();
    let swept = || Swept {
        back: [id("shop.1.1")].into(),
        ..Swept::default()
    };
    assert!(two.sweep(&name("mysql"), swept()).is_empty());
    assert_eq!(two.sweep(&name("mysql"), swept()), [id("shop.1.1")].into());
    // It is told once, and begins anew.
    assert!(two.sweep(&name("mysql"), swept()).is_empty());
    assert!(two.sweep(&name("mysql"), Swept::default()).is_empty());
    assert!(two.sweep(&name("mysql"), swept()).is_empty());
}

#[test]
fn what_was_held_back_stays_when_a_later_sweep_does_not_show_it() {
    let mut two = two();
    let foreign = PreparedBranch {
        id: PreparedId::Foreign("xa-1".into()),
        prepare_time: None,
    };
    let swept = Swept {
        held_back: [id("shop.1.1")].into(),
        foreign: vec![foreign],
        ..Swept::default()
    };
    two.sweep(&name("redis"), swept);
    two.sweep(&name("redis"), Swept::default());
    assert_eq!(two.foreign(&name("redis")), Some(&[][..]));
    assert_eq!(two.take_held_back(), [id("shop.1.1").at(&name("redis"))]);
    assert!(two.take_held_back().is_empty());
}

#[test]
fn nothing_is_kept_of_a_stranger() {
    let (mut two, stranger) = (two(), name("stranger"));
    let before = two.clone();
    two.wait(&id("shop.1.1").at(&stranger), Timestamp(1));
    two.set_down(Timestamp(1), &stranger, "gone".into());
    assert!(two.sweep(&stranger, Swept::default()).is_empty());
    assert_eq!(two.enlist(&stranger, "life-1".into(), true), None);
    assert_eq!(two, before);
}
