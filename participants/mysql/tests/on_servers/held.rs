//! Rows that somebody else holds: who it is, and what it costs those who share a packet.

use std::time::{Duration, Instant};

use tandem_mysql::Per;
use tandem_participant::Participant;
use tandem_protocol::{Entry, Reason};

use crate::entries::{reasons, refused_entries, with_statements};
use crate::stand::{
    Stand, ask, column, commit, decision, entries, in_doubt, prepared, roll_back, sql, tx,
};

/// Locked rows, one after another.
const ROUNDS: u64 = 12;

/// In so many of them at least the others wait briefly. Where nobody interrupts, none does; where the machine
/// is busy, it has now and then no time for whoever interrupts.
const BRIEF_ROUNDS_MIN: usize = 9;

/// Less than the second that a lock is waited for at least.
const BRIEFLY: Duration = Duration::from_millis(900);

pub(crate) async fn a_row_that_is_held_names_its_holder_and_its_neighbours_go_on(stand: Stand) {
    let participant = stand.enlisted().await;
    let mut app = stand.hand().await;
    sql(
        &mut app,
        "BEGIN; INSERT INTO purchases VALUES ('busy', 'c', 'EUR', 1, 't', NOW(3))",
    )
    .await;
    let id = column(&mut app, "SELECT CONNECTION_ID()").await.remove(0);
    let ids: Vec<String> = (10..42).map(|number| format!("p{number}")).collect();
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids[20] = "busy";
    let asked = ask(&tx(1), entries(&ids));
    let refused = refused_entries(&participant, &asked).await;
    assert_eq!(reasons(&refused), [(20, Reason::Locked)]);
    let named = format!("connection {id} (root@");
    assert!(refused[0].refusal.detail.contains(&named), "{refused:?}");
    // Whatever time zone the server's machine has.
    let age = refused[0]
        .refusal
        .detail
        .split(" s in its transaction")
        .next();
    let age = age.and_then(|text| text.rsplit(' ').next()?.parse::<u64>().ok());
    assert!(age.is_some_and(|age| age < 60), "{refused:?}");

    // Alone it waits for its lock as it is configured, and is told the same.
    let begun = Instant::now();
    let alone = refused_entries(&participant, &ask(&tx(2), entries(&["busy"]))).await;
    assert!(begun.elapsed() >= BRIEFLY, "{:?}", begun.elapsed());
    assert!(alone[0].refusal.detail.contains(&named), "{alone:?}");
    sql(&mut app, "ROLLBACK").await;

    let mut survivors = asked.entries.clone();
    survivors.remove(20);
    participant
        .commit(&decision(&tx(1), survivors))
        .await
        .unwrap();
    assert_eq!(stand.purchases().await.len(), 31);
    // The session that was interrupted goes on.
    prepared(&participant, &tx(3), &["busy", "next"]).await;
    commit(&participant, &tx(3), &["busy", "next"])
        .await
        .unwrap();
}

/// Each time another row, as purchases are that come anew: how long those in its packet wait.
pub(crate) async fn rows_that_are_held_one_after_another_delay_nobody(stand: Stand) {
    let participant = stand.enlisted().await;
    let mut app = stand.hand().await;
    sql(&mut app, "BEGIN").await;
    for number in 0..ROUNDS {
        let insert =
            format!("INSERT INTO purchases VALUES ('busy{number}', 'c', 'EUR', 1, 't', NOW(3))");
        sql(&mut app, &insert).await;
    }
    // What a packet usually takes is known then.
    for number in 1..=ROUNDS {
        let ids: Vec<String> = (0..32).map(|id| format!("u{number}-{id}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        prepared(&participant, &tx(number), &ids).await;
        commit(&participant, &tx(number), &ids).await.unwrap();
    }
    let mut brief = 0;
    for number in 0..ROUNDS {
        let mut ids: Vec<String> = (0..32).map(|id| format!("p{number}-{id}")).collect();
        ids[20] = format!("busy{number}");
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let transaction = tx(100 + number);
        let asked = ask(&transaction, entries(&ids));
        let begun = Instant::now();
        let refused = refused_entries(&participant, &asked).await;
        let took = begun.elapsed();
        assert_eq!(reasons(&refused), [(20, Reason::Locked)]);
        println!("{:?}: with a locked row: {took:?}", stand.world);
        brief += usize::from(took < BRIEFLY);
        let mut survivors = asked.entries.clone();
        survivors.remove(20);
        participant
            .commit(&decision(&transaction, survivors))
            .await
            .unwrap();
    }
    assert!(brief >= BRIEF_ROUNDS_MIN, "{brief} of {ROUNDS}");
    sql(&mut app, "ROLLBACK").await;
}

/// The same where a lock that was waited for in vain costs the whole branch.
pub(crate) async fn rows_that_cost_the_branch_delay_nobody(stand: Stand) {
    rows_that_are_held_one_after_another_delay_nobody(stand).await;
}

pub(crate) async fn a_prepared_branch_that_holds_a_row_is_named(stand: Stand) {
    let participant = stand.enlisted().await;
    let mut other = stand.hand().await;
    sql(
        &mut other,
        "XA START 'of-another'; INSERT INTO purchases VALUES ('busy', 'c', 'EUR', 1, 't', NOW(3)); \
         XA END 'of-another'; XA PREPARE 'of-another'",
    )
    .await;
    let id = column(&mut other, "SELECT CONNECTION_ID()").await.remove(0);
    if !stand.world.ties() {
        // A young one may be tandem's own, which goes by itself.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let asked = ask(&tx(1), entries(&["a", "busy", "b"]));
    let refused = refused_entries(&participant, &asked).await;
    assert_eq!(reasons(&refused), [(1, Reason::Locked)]);
    let detail = &refused[0].refusal.detail;
    let named = match stand.world.ties() {
        true => format!("connection {id} (root@"),
        false => "\"of-another\"".into(),
    };
    assert!(detail.contains(&named), "{detail}");
    sql(&mut other, "XA ROLLBACK 'of-another'").await;
    roll_back(&participant, &tx(1)).await.unwrap();
}

/// A branch of tandem's own goes soon, so it is waited for, and nobody is refused on its account.
pub(crate) async fn a_row_of_a_branch_under_way_is_waited_for(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY); CREATE TABLE sold (sku VARCHAR(64) \
         PRIMARY KEY, n INT); INSERT INTO sold VALUES ('apple', 0), ('pear', 0)",
    )
    .await;
    let participant = with_statements(
        &stand,
        &[
            (Per::Purchase, "INSERT INTO orders VALUES (:purchase_id)"),
            (
                Per::Item,
                "UPDATE sold SET n = n + :quantity WHERE sku = :sku",
            ),
        ],
    )
    .await;
    prepared(&participant, &tx(1), &["a", "b"]).await;
    let later = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        commit(&participant, &tx(1), &["a", "b"]).await.unwrap();
    };
    let second = ask(&tx(2), entries(&["c", "d"]));
    let (refused, ()) = tokio::join!(refused_entries(&participant, &second), later);
    assert_eq!(reasons(&refused), []);
    commit(&participant, &tx(2), &["c", "d"]).await.unwrap();
    let sold = column(&mut hand, "SELECT CAST(n AS CHAR) FROM sold ORDER BY sku").await;
    assert_eq!(sold, ["8", "4"]);
}

/// What takes long without waiting for anybody is left alone, and nothing is refused.
pub(crate) async fn what_is_merely_slow_is_not_interrupted(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY); CREATE TRIGGER slow BEFORE INSERT ON \
         orders FOR EACH ROW DO SLEEP(0.15)",
    )
    .await;
    let insert = "INSERT INTO orders VALUES (:purchase_id)";
    let participant = with_statements(&stand, &[(Per::Purchase, insert)]).await;
    prepared(&participant, &tx(1), &["a", "b", "c", "d"]).await;
    commit(&participant, &tx(1), &["a", "b", "c", "d"])
        .await
        .unwrap();
}

/// Without the right to look it is as it was: the lock is waited for, and one purchase refused.
pub(crate) async fn a_user_who_may_not_look_waits_for_the_lock(stand: Stand) {
    let mut root = stand.root().await;
    let user = format!("u{}", stand.name.trim_start_matches("t-"));
    let xa = match stand.world.is_mysql() {
        true => format!("GRANT XA_RECOVER_ADMIN ON *.* TO {user}"),
        false => "DO 0".into(),
    };
    sql(
        &mut root,
        &format!(
            "CREATE USER {user}; GRANT ALL ON `{}`.* TO {user}; {xa}",
            stand.name
        ),
    )
    .await;
    let mut settings = stand.settings();
    let url = stand.server.url().replace("root", &user);
    settings.url = format!("{url}{}", stand.name).into();
    settings.accept.push("REPLICA_STATE_UNKNOWN".into());
    let participant = stand.with(settings);
    participant.enlist(&crate::stand::enlist(1)).await.unwrap();
    let mut app = stand.hand().await;
    sql(
        &mut app,
        "BEGIN; INSERT INTO purchases VALUES ('busy', 'c', 'EUR', 1, 't', NOW(3))",
    )
    .await;
    for sequence in 1..3 {
        let ids = [
            format!("a{sequence}"),
            "busy".into(),
            format!("b{sequence}"),
        ];
        let asked = ask(&tx(sequence), entries(&ids.each_ref().map(String::as_str)));
        let begun = Instant::now();
        let refused = refused_entries(&participant, &asked).await;
        assert_eq!(reasons(&refused), [(1, Reason::Locked)]);
        assert!(begun.elapsed() >= BRIEFLY, "{:?}", begun.elapsed());
        let mut survivors: Vec<Entry> = asked.entries.clone();
        survivors.remove(1);
        participant
            .commit(&decision(&tx(sequence), survivors))
            .await
            .unwrap();
    }
    assert_eq!(in_doubt(&participant).await, []);
}
