//! How many units the ended transactions of a log have deducted, by participant and sku.
//!
//! A total is what the log's records say when they are read in their order: a transaction's end adds
//! the units of its decision, and a record of totals says what they are from there on, whatever came
//! before it. So records may leave the log once a later record of totals stands for them, and only
//! totals whose evidence is about to leave are written again: of each the oldest position is kept from
//! which a replay still gets it right.
//!
//! Only decisions of a version that keeps totals count, as only from then on stores count what is
//! deducted.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{ParticipantName, Position};
use crate::purchase::Entry;
use crate::unordered::UnorderedMap;

/// Bytes of the totals in one record, at most; a log's record has less than 64 KB.
const RECORD_BYTES_MAX: usize = 60_000;

/// Bytes that a total takes in a record beside its sku: two numbers, their tags, three lengths.
const SKU_BYTES_MAX: usize = 32;

/// What the ended transactions of a log have deducted at one participant, as far as a record says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParticipantTotals {
    pub participant: ParticipantName,
    pub skus: Vec<SkuTotal>,
}

/// What has been deducted of one sku at one participant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct SkuTotal {
    /// Of a pool that is named, the stock's name ([`stock_name`](crate::purchase::stock_name)).
    pub sku: String,
    /// Units of ended transactions that the participant has carried out.
    pub deducted: u64,
    /// Units of which only a person has said how they ended, or that were decided before totals were
    /// kept: the participant may have deducted them, and may not have counted them.
    pub unsure: u64,
}

/// One participant's total of one sku.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StockId {
    participant: u32,
    sku: u32,
}

/// How a branch of an ended transaction counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// The participant has carried it out.
    Deducted,
    /// Nobody can tell whether the participant has counted it.
    Unsure,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Stock {
    deducted: u64,
    /// Units of transactions that are decided and have not ended.
    under_way: u64,
    /// A replay that begins here or earlier gets the total right; `None` while every replay does, or
    /// while the record that will say so is on its way.
    needs: Option<Position>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Totals {
    participants: Vec<(ParticipantName, Vec<Stock>)>,
    skus: Vec<Arc<str>>,
    numbers: UnorderedMap<Arc<str>, u32>,
    /// The few that are not 0.
    unsure: BTreeMap<StockId, u64>,
    /// By what they need, oldest first. An entry counts only while its total needs this position.
    queue: BTreeMap<Position, Vec<StockId>>,
}

/// Totals that are to be written again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Rewrite {
    pub(crate) record: ParticipantTotals,
    pub(crate) stocks: Vec<StockId>,
}

impl Totals {
    /// Takes note that a decision is to be carried out.
    pub(crate) fn begin<'a>(
        &mut self,
        participants: impl IntoIterator<Item = &'a ParticipantName>,
        entries: &[Entry],
    ) {
        self.change_under_way(participants, entries, u64::saturating_add);
    }

    /// Takes note that a decision that was under way is not any more, however it has ended.
    pub(crate) fn leave<'a>(
        &mut self,
        participants: impl IntoIterator<Item = &'a ParticipantName>,
        entries: &[Entry],
    ) {
        self.change_under_way(participants, entries, u64::saturating_sub);
    }

    fn change_under_way<'a>(
        &mut self,
        participants: impl IntoIterator<Item = &'a ParticipantName>,
        entries: &[Entry],
        change: impl Fn(u64, u64) -> u64,
    ) {
        let each = participants.into_iter().map(|name| (name, ()));
        self.change(each, entries, |totals, id, (), units| {
            let stock = totals.stock_mut(id);
            stock.under_way = change(stock.under_way, units);
        });
    }

    /// Adds what an ended transaction has deducted. `position` is that of the oldest record that a
    /// replay needs to know that.
    pub(crate) fn add<'a>(
        &mut self,
        branches: impl IntoIterator<Item = (&'a ParticipantName, Counts)>,
        entries: &[Entry],
        position: Position,
    ) {
        self.change(branches, entries, |totals, id, counts, units| {
            match counts {
                Counts::Deducted => {
                    let stock = totals.stock_mut(id);
                    stock.deducted = stock.deducted.saturating_add(units);
                }
                Counts::Unsure => {
                    let unsure = totals.unsure.entry(id).or_default();
                    *unsure = unsure.saturating_add(units);
                }
            }
            totals.need(id, position);
        });
    }

    /// Takes back what was added for a transaction that is carried out once more.
    pub(crate) fn take_back<'a>(
        &mut self,
        branches: impl IntoIterator<Item = (&'a ParticipantName, Counts)>,
        entries: &[Entry],
        position: Position,
    ) {
        self.change(branches, entries, |totals, id, counts, units| {
            match counts {
                Counts::Deducted => {
                    let stock = totals.stock_mut(id);
                    stock.deducted = stock.deducted.saturating_sub(units);
                }
                Counts::Unsure => {
                    let unsure = totals.unsure.remove(&id).unwrap_or_default();
                    totals.set_unsure(id, unsure.saturating_sub(units));
                }
            }
            totals.need(id, position);
        });
    }

    /// Takes what a record of totals says, at its position.
    pub(crate) fn read(&mut self, record: &ParticipantTotals, position: Position) {
        let participant = self.participant(&record.participant);
        for total in &record.skus {
            let sku = self.number(&total.sku);
            let id = self.id(participant, sku);
            self.set_unsure(id, total.unsure);
            let stock = self.stock_mut(id);
            stock.deducted = total.deducted;
            stock.needs = None;
            self.need(id, position);
        }
    }

    /// Totals that need a position before this one, at most so many, oldest first. From now on they
    /// are taken for being on their way to the log.
    pub(crate) fn rewrite(&mut self, before: Position, stocks_max: usize) -> Vec<Rewrite> {
        let mut due: BTreeMap<u32, Vec<StockId>> = BTreeMap::new();
        let mut room = stocks_max;
        while room > 0
            && let Some(oldest) = self.queue.first_entry()
            && *oldest.key() < before
        {
            let (position, mut ids) = oldest.remove_entry();
            while room > 0
                && let Some(id) = ids.pop()
            {
                let stock = self.stock_mut(id);
                if stock.needs == Some(position) {
                    stock.needs = None;
                    due.entry(id.participant).or_default().push(id);
                    room -= 1;
                }
            }
            if !ids.is_empty() {
                self.queue.insert(position, ids);
            }
        }
        due.into_values()
            .flat_map(|ids| self.records(ids))
            .collect()
    }

    /// Takes note that totals stand in the log.
    pub(crate) fn stored(&mut self, stocks: &[StockId], position: Position) {
        for id in stocks {
            // Another end may have come meanwhile that needs more.
            if self.stock_mut(*id).needs.is_none() {
                self.need(*id, position);
            }
        }
    }

    /// The oldest position that any total needs, of those that are stored.
    pub(crate) fn first_position(&mut self) -> Option<Position> {
        while let Some(oldest) = self.queue.first_entry() {
            let position = *oldest.key();
            let is_needed = |id: &StockId| {
                let stocks = &self.participants[id.participant as usize].1;
                stocks[id.sku as usize].needs == Some(position)
            };
            if oldest.get().iter().any(is_needed) {
                return Some(position);
            }
            oldest.remove();
        }
        None
    }

    /// Some of a participant's totals, from the sku with this number on, with the units that are
    /// under way, and the number at which it goes on.
    pub(crate) fn page(
        &self,
        participant: &ParticipantName,
        begin: u32,
        count_max: usize,
    ) -> (Vec<(SkuTotal, u64)>, Option<u32>) {
        let all = self.participants.iter();
        let Some(at) = all.clone().position(|(name, _)| name == participant) else {
            return (Vec::new(), None);
        };
        let (participant, stocks) = (at as u32, &self.participants[at].1);
        let end = stocks.len().min((begin as usize).saturating_add(count_max));
        let page = (begin..end as u32)
            .map(|sku| StockId { participant, sku })
            .map(|id| (self.total(id), stocks[id.sku as usize].under_way))
            .filter(|(total, under_way)| (total.deducted, total.unsure, *under_way) != (0, 0, 0));
        let next = (end < stocks.len()).then_some(end as u32);
        (page.collect(), next)
    }

    /// One participant's total of one sku, and the units that are under way.
    pub(crate) fn of(&self, participant: &ParticipantName, sku: &str) -> (SkuTotal, u64) {
        let all = &self.participants;
        let at = all.iter().position(|(name, _)| name == participant);
        let id = at.zip(self.numbers.get(sku)).map(|(at, sku)| StockId {
            participant: at as u32,
            sku: *sku,
        });
        let known = id.filter(|id| {
            let stocks = &all[id.participant as usize].1;
            stocks.len() > id.sku as usize
        });
        match known {
            Some(id) => {
                let stock = &all[id.participant as usize].1[id.sku as usize];
                (self.total(id), stock.under_way)
            }
            None => {
                let sku = sku.to_owned();
                let nothing = SkuTotal::default();
                (SkuTotal { sku, ..nothing }, 0)
            }
        }
    }

    fn change<'a, T: Copy>(
        &mut self,
        branches: impl IntoIterator<Item = (&'a ParticipantName, T)>,
        entries: &[Entry],
        mut change: impl FnMut(&mut Totals, StockId, T, u64),
    ) {
        let branches: Vec<(u32, T)> = branches
            .into_iter()
            .map(|(name, how)| (self.participant(name), how))
            .collect();
        for item in entries.iter().flat_map(|entry| entry.purchase.tracked()) {
            let sku = self.number(&item.stock());
            for (participant, how) in &branches {
                let id = self.id(*participant, sku);
                change(self, id, *how, item.quantity.into());
            }
        }
    }

    fn participant(&mut self, name: &ParticipantName) -> u32 {
        let known = self
            .participants
            .iter()
            .position(|(other, _)| other == name);
        let number = known.unwrap_or_else(|| {
            self.participants.push((name.clone(), Vec::new()));
            self.participants.len() - 1
        });
        u32::try_from(number).expect("participants are fewer than 2^32")
    }

    /// A sku's number, the same for all participants.
    fn number(&mut self, sku: &str) -> u32 {
        if let Some(number) = self.numbers.get(sku) {
            return *number;
        }
        let number = u32::try_from(self.skus.len()).expect("skus are fewer than 2^32");
        let name: Arc<str> = sku.into();
        self.skus.push(name.clone());
        self.numbers.insert(name, number);
        number
    }

    fn id(&mut self, participant: u32, sku: u32) -> StockId {
        let stocks = &mut self.participants[participant as usize].1;
        if stocks.len() <= sku as usize {
            let none = Stock {
                deducted: 0,
                under_way: 0,
                needs: None,
            };
            stocks.resize(sku as usize + 1, none);
        }
        StockId { participant, sku }
    }

    fn stock_mut(&mut self, id: StockId) -> &mut Stock {
        &mut self.participants[id.participant as usize].1[id.sku as usize]
    }

    fn set_unsure(&mut self, id: StockId, units: u64) {
        if units == 0 {
            self.unsure.remove(&id);
        } else {
            self.unsure.insert(id, units);
        }
    }

    /// Notes that a replay has to begin at `position` or earlier for a total.
    fn need(&mut self, id: StockId, position: Position) {
        let stock = self.stock_mut(id);
        if stock.needs.is_none_or(|needs| position < needs) {
            stock.needs = Some(position);
            self.queue.entry(position).or_default().push(id);
        }
    }

    fn total(&self, id: StockId) -> SkuTotal {
        let stocks = &self.participants[id.participant as usize].1;
        SkuTotal {
            sku: self.skus[id.sku as usize].as_ref().to_owned(),
            deducted: stocks[id.sku as usize].deducted,
            unsure: self.unsure.get(&id).copied().unwrap_or_default(),
        }
    }

    /// The records of one participant's totals, none too large.
    fn records(&self, ids: Vec<StockId>) -> Vec<Rewrite> {
        let mut records: Vec<Rewrite> = Vec::new();
        let mut bytes = 0;
        for id in ids {
            let total = self.total(id);
            let more = total.sku.len() + SKU_BYTES_MAX;
            bytes += more;
            match records.last_mut() {
                Some(last) if bytes <= RECORD_BYTES_MAX => {
                    last.record.skus.push(total);
                    last.stocks.push(id);
                }
                Some(_) | None => {
                    let (participant, _) = &self.participants[id.participant as usize];
                    records.push(Rewrite {
                        record: ParticipantTotals {
                            participant: participant.clone(),
                            skus: vec![total],
                        },
                        stocks: vec![id],
                    });
                    bytes = more;
                }
            }
        }
        records
    }
}

#[cfg(test)]
mod tests;
