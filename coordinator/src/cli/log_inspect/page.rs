//! What `tandem log inspect` prints: one page, as text or as JSON.

use std::fmt::Write;

use serde_json::{Value, json};
use tandem_log::{Identity, Inspection};
use tandem_participant::convert::timestamp_to_wire;
use tandem_protocol::{
    Record, RecordError, Timestamp, TransactionId, TransactionState, TransactionView,
};

use crate::cli::content::Shown;
use crate::cli::log_replayed::{Replayed, Unfinished};
use crate::cli::output::clean;
use crate::cli::status::causes;
use crate::cli::table::table;
use crate::cli::{log_advice, log_record, time};
use crate::config::Participants;

/// Everything that is printed.
pub(super) struct Page<'a> {
    identity: Option<&'a Identity>,
    records: usize,
    /// What the records say together, if they can be read together.
    replayed: Option<Replayed>,
    pub(super) damage: Vec<String>,
    participants: Option<&'a Participants>,
    shown: Shown,
    /// Each record, if all are to be printed.
    listed: Vec<(u64, Result<Record, RecordError>)>,
}

impl<'a> Page<'a> {
    /// Without participants it is not known what kind of store each is.
    pub(super) fn of(
        found: &'a Inspection,
        participants: Option<&'a Participants>,
        list: bool,
        shown: Shown,
    ) -> Page<'a> {
        let mut damage: Vec<String> = found.damage.iter().map(ToString::to_string).collect();
        let coordinator = found.identity.as_ref().map(|id| id.coordinator_id.parse());
        let replayed = match coordinator {
            Some(Ok(coordinator)) => match Replayed::of(found, &coordinator, participants) {
                Ok(replayed) => Some(replayed),
                Err(error) => {
                    damage.push(causes(&error));
                    None
                }
            },
            Some(Err(error)) => {
                damage.push(error.to_string());
                None
            }
            None => None,
        };
        let listed = found.records.iter().filter(|_| list);
        Page {
            identity: found.identity.as_ref(),
            records: found.records.len(),
            replayed,
            damage,
            participants,
            shown,
            listed: listed
                .map(|(position, bytes)| (position.0, Record::decode(bytes)))
                .collect(),
        }
    }

    fn unfinished(&self) -> &[Unfinished] {
        self.replayed
            .as_ref()
            .map_or(&[], |replayed| &replayed.unfinished)
    }

    pub(super) fn text(&self, width: Option<u16>) -> String {
        let mut page = String::new();
        for (name, value) in self.summary() {
            let _ = writeln!(page, "{name:<12} {}", clean(&value));
        }
        for damage in &self.damage {
            let _ = writeln!(page, "DAMAGED      {}", clean(damage));
        }
        if !self.listed.is_empty() {
            let rows = self.listed.iter().map(|(position, record)| match record {
                Ok(record) => [
                    position.to_string(),
                    record.time().map_or_else(|| time::NONE.into(), moment),
                    log_record::line(record, self.shown),
                ],
                Err(error) => [position.to_string(), time::NONE.into(), error.to_string()],
            });
            let records = table(["POSITION", "TIME", "RECORD"], rows, width);
            let _ = writeln!(page, "\n{records}");
        }
        for Unfinished { view, work } in self.unfinished() {
            let _ = writeln!(page, "\n{}", headline(view));
            for (participant, text) in work {
                let _ = writeln!(page, "  at {participant}: {}", clean(text));
            }
        }
        let _ = write!(page, "\nWHAT MUST BE DONE\n{}", self.advice());
        page
    }

    fn summary(&self) -> Vec<(&'static str, String)> {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".into());
        let mut lines = Vec::new();
        if let Some(identity) = self.identity {
            lines.push(("coordinator", identity.coordinator_id.clone()));
            lines.push(("log", identity.log_id.clone()));
        }
        lines.push(("records", self.records.to_string()));
        if let Some(replayed) = &self.replayed {
            let newest = replayed.newest.as_ref().map(ToString::to_string);
            lines.push(("last epoch", or_none(replayed.epoch.map(|e| e.to_string()))));
            lines.push(("purchases", replayed.purchases.to_string()));
            lines.push(("newest", or_none(newest)));
            lines.push(("unfinished", replayed.unfinished.len().to_string()));
        }
        lines
    }

    fn advice(&self) -> String {
        match self.replayed.as_ref().filter(|_| self.damage.is_empty()) {
            Some(replayed) => log_advice::of_one(replayed, self.participants),
            None => log_advice::of_damage(),
        }
    }

    pub(super) fn json(&self) -> Value {
        let replayed = self.replayed.as_ref();
        json!({
            "coordinator_id": self.identity.map(|identity| &identity.coordinator_id),
            "log_id": self.identity.map(|identity| &identity.log_id),
            "record_count": self.records,
            "epoch": replayed.and_then(|replayed| replayed.epoch),
            "purchase_count": replayed.map(|replayed| replayed.purchases),
            "newest": replayed.and_then(|replayed| id(&replayed.newest)),
            "first": replayed.and_then(|replayed| id(&replayed.first)),
            "damage": self.damage,
            "unfinished": self.unfinished().iter().map(|Unfinished { view, work }| json!({
                "transaction_id": view.id.to_string(),
                "decide_time": view.decide_time.map(moment),
                "purchase_ids": purchase_ids(view),
                "work": work.iter().map(|(participant, text)| json!({
                    "participant": participant.as_str(),
                    "text": text,
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "records": self.listed.iter().map(|(position, record)| match record {
                Ok(record) => json!({
                    "position": position,
                    "time": record.time().map(moment),
                    "record": log_record::document(record, self.shown),
                }),
                Err(error) => json!({ "position": position, "error": error.to_string() }),
            }).collect::<Vec<_>>(),
        })
    }
}

fn headline(view: &TransactionView) -> String {
    match view.state {
        TransactionState::Committing => format!(
            "{}: decided commit at {}; purchases {}",
            view.id,
            view.decide_time.map_or_else(String::new, moment),
            purchase_ids(view).join(", ")
        ),
        TransactionState::Preparing
        | TransactionState::Deciding
        | TransactionState::Aborting
        | TransactionState::Committed
        | TransactionState::Refused => {
            format!(
                "{}: no commit decision; a store ended a branch against that",
                view.id
            )
        }
    }
}

fn purchase_ids(view: &TransactionView) -> Vec<&str> {
    let entries = view.entries.iter();
    entries
        .map(|entry| entry.purchase.purchase_id.as_str())
        .collect()
}

fn id(transaction: &Option<TransactionId>) -> Option<String> {
    transaction.as_ref().map(ToString::to_string)
}

fn moment(time: Timestamp) -> String {
    time::absolute(Some(&timestamp_to_wire(time)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tandem_log::{Damage, Position};
    use tandem_protocol::Epoch;

    use super::*;
    use crate::cli::samples::decision;
    use crate::config::Config;

    const CONFIG: &str = r#"
        [coordinator]
        id = "shop"
        data_dir = "log"
        listen = "127.0.0.1:7650"
        admin_listen = "127.0.0.1:7651"
        [participants.purchases.mysql]
        url = "mysql://app@127.0.0.1:3306/shop"
        [participants.stock.redis]
        url = "redis://127.0.0.1:6379/0"
    "#;

    fn log(records: &[Record]) -> Inspection {
        let encoded = records.iter().map(Record::encode);
        Inspection {
            identity: Some(Identity {
                log_id: "log-1".into(),
                coordinator_id: "shop".into(),
            }),
            records: (1..).map(Position).zip(encoded).collect(),
            damage: Vec::new(),
        }
    }

    fn epoch() -> Record {
        Record::EpochStarted {
            epoch: Epoch(1),
            instance_id: "one".into(),
            time: Timestamp(1_772_366_399_000),
        }
    }

    /// A decision that nobody has acknowledged.
    fn unfinished() -> Inspection {
        log(&[epoch(), Record::Decided(decision())])
    }

    #[test]
    fn unfinished_decision_says_what_to_do_at_each_kind_of_store() {
        let config: Config = toml::from_str(CONFIG).unwrap();
        let found = unfinished();
        let page = Page::of(&found, Some(&config.participants), true, Shown::default()).text(None);
        assert_eq!(
            page,
            "\
coordinator  shop
log          log-1
records      2
last epoch   1
purchases    3
newest       shop.1.3
unfinished   1

POSITION  TIME                      RECORD
1         2026-03-01T11:59:59.000Z  epoch 1 begun by process one
2         2026-03-01T12:00:00.000Z  decided shop.1.3: p-7 (lamp 2), p-8 (chair 1); refused p-9 INSUFFICIENT_STOCK

shop.1.3: decided commit at 2026-03-01T12:00:00.000Z; purchases p-7, p-8
  at purchases: if `XA RECOVER` lists shop.1.3: `XA COMMIT 'shop.1.3','purchases',1952542308` (error 1397: a session that is still connected has it; end that one first). If not, it is committed where this gives a row: `SELECT 1 FROM tandem_branches WHERE participant = 'purchases' AND coordinator = 'shop' AND epoch = 1 AND sequence = 3 AND state = 1 FOR UPDATE NOWAIT` (error 1205 or 3572: the server keeps it prepared and does not list it; restart the server). If that gives none, it was rolled back: put it back in one transaction: `SET time_zone = '+00:00'`, `INSERT INTO purchases (purchase_id, customer_id, currency, total_minor, transaction_id, create_time) VALUES ('p-7', 'c-1', 'EUR', 3998, 'shop.1.3', FROM_UNIXTIME(1772366399.950)), ('p-8', 'c-1', 'EUR', 1999, 'shop.1.3', FROM_UNIXTIME(1772366399.950))`, `INSERT INTO purchase_items (purchase_id, sku, quantity, unit_price_minor) VALUES ('p-7', 'lamp', 2, 1999), ('p-8', 'chair', 1, 1999)`, and tandem's memory of it: `REPLACE INTO tandem_branches (participant, coordinator, epoch, sequence, state, connection_id, server_start, prepare_time_ms) VALUES ('purchases', 'shop', 1, 3, 1, 0, 0, 0)`
  at stock: it is done where `ZSCORE tandem:committed:shop:stock a1.a3` gives a number, or where character 4 of `GET witness:tandem:shop:stock:1.0` is 1. If neither: in one MULTI and EXEC, `DECRBY stock:chair 1`, `INCRBY witness:tandem:shop:stock:of:stock:chair 1`, `DECRBY stock:lamp 2`, `INCRBY witness:tandem:shop:stock:of:stock:lamp 2`, `ZADD tandem:committed:shop:stock 0 a1.a3`, `ZREM tandem:released:shop:stock a1.a3`. Then, if `ZSCORE tandem:prepared shop.1.3/stock` gives a number, give back what is held for it: of each STOCK and its UNITS in `HGET tandem:tx:shop.1.3/stock held`, `HINCRBY tandem:held STOCK -UNITS` (where that gives 0 `HDEL tandem:held STOCK`), then `ZREM tandem:prepared shop.1.3/stock` and `DEL tandem:tx:shop.1.3/stock`

WHAT MUST BE DONE
What is listed above is decided, whichever copy of the log this is, and is to be carried out.
If shop last ran on this very folder, which is no copy: `tandem serve` on it carries on by itself.
If it is a copy, or nobody knows: this folder can't say whether it is the newest, the stores can. Start nothing on it, and roll nothing back by it, before they have been asked:
  at purchases: `SELECT epoch FROM tandem_coordinators WHERE participant = 'purchases' AND coordinator = 'shop'` (its epoch), `SELECT CONCAT(coordinator, '.', epoch, '.', sequence) FROM tandem_branches WHERE participant = 'purchases' AND coordinator = 'shop' AND state = 1 ORDER BY epoch DESC, sequence DESC LIMIT 1` (its newest commit)
  at stock: `HGET tandem:coordinator:shop:stock epoch` (its epoch), `ZRANGE tandem:committed:shop:stock -1 -1` (its newest commit, where `a3.d1042` is shop.3.1042)
It is an old copy if one of them tells of an epoch above 1, or of a commit that `--records` does not show: then do nothing by it, and look for the newest folder (`tandem log inspect DIR OTHER` compares two). If all that they tell is here, a prepared branch of shop that `--records` does not show decided has no stored decision, which means abort: it is to be rolled back, as `tandem serve` would.
"
        );
    }

    #[test]
    fn without_a_configuration_both_kinds_of_store_are_told() {
        let found = unfinished();
        let page = Page::of(&found, None, false, Shown::default()).text(None);
        assert!(
            page.contains(
                "  at stock: commit. MySQL, with the default tables: if `XA RECOVER` lists"
            )
        );
        let redis =
            ". Redis, with stock in keys of its own: it is done where `ZSCORE tandem:committed:";
        assert!(page.contains(redis), "{page}");
        assert!(
            page.contains("with a stock hash HASH in tandem:held:HASH"),
            "{page}"
        );
        assert!(!page.contains("POSITION"), "{page}");
    }

    #[test]
    fn damaged_log_shows_what_can_be_read_and_advises_no_roll_back() {
        let mut found = unfinished();
        found.damage.push(Damage::Gap { after: 2, found: 4 });
        let page = Page::of(&found, None, true, Shown::default());
        let text = page.text(None);
        assert!(text.contains("DAMAGED      batch 4 follows batch 2: those between are gone"));
        assert!(text.contains("decided shop.1.3: p-7 (lamp 2)"), "{text}");
        assert!(text.contains("shop.1.3: decided commit at"), "{text}");
        assert!(text.contains("Roll nothing back because it is not listed"));
        assert!(!text.contains("it is to be rolled back"), "{text}");
    }

    #[test]
    fn record_that_is_not_one_is_named_with_its_cause() {
        let mut found = unfinished();
        found.records.push((Position(3), vec![0x08, 0x07]));
        let page = Page::of(&found, None, true, Shown::default());
        let text = page.text(None);
        assert!(
            text.contains(
                "DAMAGED      record 3 of the decision log can't be read: the record has format 7"
            ),
            "{text}"
        );
        assert!(text.contains("decided shop.1.3"), "{text}");
        assert!(text.contains("Roll nothing back"), "{text}");
        assert_eq!(page.json()["records"][2]["position"], 3);
    }

    #[test]
    fn what_is_forgotten_is_not_to_be_rolled_back() {
        let ended = decision().transaction;
        let found = log(&[
            epoch(),
            Record::Decided(decision()),
            Record::Ended {
                transaction: ended.clone(),
                counted: true,
            },
            Record::Forgotten {
                epoch: Epoch(1),
                before: ended,
            },
        ]);
        let page = Page::of(&found, None, false, Shown::default());
        assert!(page.unfinished().is_empty());
        assert!(
            page.text(None)
                .contains("Nothing that is decided here is left")
        );
        assert!(
            page.text(None)
                .contains("What was before shop.1.3 is forgotten")
        );
    }

    #[test]
    fn json_has_what_the_text_has() {
        let found = unfinished();
        let document = Page::of(&found, None, true, Shown::default()).json();
        assert_eq!(document["coordinator_id"], "shop");
        assert_eq!(document["record_count"], 2);
        assert_eq!(document["epoch"], 1);
        assert_eq!(document["newest"], "shop.1.3");
        assert_eq!(document["first"], Value::Null);
        assert_eq!(document["damage"], json!([]));
        let unfinished = &document["unfinished"][0];
        assert_eq!(unfinished["transaction_id"], "shop.1.3");
        assert_eq!(unfinished["decide_time"], "2026-03-01T12:00:00.000Z");
        assert_eq!(unfinished["purchase_ids"], json!(["p-7", "p-8"]));
        assert_eq!(unfinished["work"][1]["participant"], "stock");
        assert_eq!(document["records"][1]["position"], 2);
        assert_eq!(document["records"][1]["record"]["kind"], "decided");
    }
}
