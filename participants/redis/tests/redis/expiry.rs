//! A time to live that the app has given to a stock is kept.

use tandem_participant::Participant;

use crate::stage::{commit, enlist, has_field_expiries, on_each_server, prepare};

/// Unix milliseconds, in the year 2096.
const LATE: i64 = 4_000_000_000_000;

const CART: &[&[(&str, u32)]] = &[&[("tea", 2), ("jam", 1)]];

#[tokio::test]
async fn a_stock_key_keeps_its_time_to_live() {
    on_each_server(async |stage| {
        let () = stage.cli("MSET stock:tea 9 stock:jam 9").await;
        let _: i64 = stage.cli(&format!("PEXPIREAT stock:tea {LATE}")).await;
        stage.prepare("shop.1.1", CART).await;
        assert_eq!(stage.commit("shop.1.1", CART).await.debts, []);
        let values: Vec<i64> = stage.cli("MGET stock:tea stock:jam").await;
        assert_eq!(values, [7, 8]);
        assert_eq!(stage.cli::<i64>("PEXPIRETIME stock:tea").await, LATE);
        assert_eq!(stage.cli::<i64>("PEXPIRETIME stock:jam").await, -1);
    })
    .await;
}

#[tokio::test]
async fn a_field_of_a_stock_hash_keeps_its_time_to_live() {
    on_each_server(async |stage| {
        if !has_field_expiries(stage).await {
            return;
        }
        for (number, counts) in [(1, true), (2, false)] {
            let _: i64 = stage.cli("DEL stock").await;
            let _: i64 = stage.cli("HSET stock tea 9 jam 9").await;
            let _: Vec<i64> = stage
                .cli(&format!("HPEXPIREAT stock {LATE} FIELDS 1 tea"))
                .await;
            let participant = stage.participant(|settings| {
                settings.stock_hash = Some("stock".into());
                settings.count_in_hash = counts;
                settings.accept = vec!["STOCK_NOT_COUNTED".into()];
            });
            let shop = enlist("shop", "log-a", 1, "i");
            participant.enlist(&shop).await.unwrap();
            let id = format!("shop.1.{number}");
            participant.prepare(&prepare(&id, CART)).await.unwrap();
            let committed = participant.commit(&commit(&id, CART)).await.unwrap();
            assert_eq!(committed.debts, []);
            let values: Vec<i64> = stage.cli("HMGET stock tea jam").await;
            assert_eq!(values, [7, 8]);
            let expiries: Vec<i64> = stage.cli("HPEXPIRETIME stock FIELDS 2 tea jam").await;
            assert_eq!(expiries, [LATE, -1]);
        }
    })
    .await;
}
