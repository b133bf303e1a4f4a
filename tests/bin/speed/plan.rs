//! What is measured, in which order.

use clap::ValueEnum;

use crate::contestant::Contestant;
use crate::scene::{Binlog, Store};
use crate::workload::Workload;

/// Contestants that meet under the same circumstances.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) store: Store,
    pub(crate) binlog: Binlog,
    pub(crate) workload: Workload,
    pub(crate) contestants: Vec<Contestant>,
    /// Closed loops of so many clients.
    pub(crate) clients: Vec<usize>,
    /// Open loops, as parts of naive's highest rate in this part.
    pub(crate) offered: Vec<f64>,
    /// Whether a lone purchase's forces in series are counted.
    pub(crate) series: bool,
}

impl Part {
    /// Whether what is sold is a shop's own, which wants stores of its own.
    pub(crate) fn sells_shops_orders(&self) -> bool {
        self.workload.order().is_some()
    }
}

const ALL_CLIENTS: [usize; 7] = [1, 8, 32, 64, 128, 256, 1_024];

const MAIN: Part = Part {
    store: Store::Mariadb,
    binlog: Binlog::On,
    workload: Workload::Skus,
    contestants: Vec::new(),
    clients: Vec::new(),
    offered: Vec::new(),
    series: false,
};

/// Everything, in less than twenty minutes.
pub(crate) fn full() -> Vec<Part> {
    let two = vec![Contestant::Naive, Contestant::Tandem];
    let mut parts = vec![Part {
        contestants: Contestant::value_variants()
            .iter()
            .copied()
            .filter(|who| *who != Contestant::Dtmrs)
            .collect(),
        clients: ALL_CLIENTS.to_vec(),
        offered: vec![0.2, 0.4, 0.6, 0.8, 1.0, 1.2],
        series: true,
        ..MAIN
    }];
    for workload in [Workload::Hot, Workload::Carts, Workload::Refusals] {
        parts.push(Part {
            workload,
            contestants: two.clone(),
            clients: vec![1, 64, 256],
            ..MAIN
        });
    }
    for workload in [
        Workload::Orders,
        Workload::LargeOrders,
        Workload::LongOrders,
    ] {
        parts.push(Part {
            workload,
            contestants: two.clone(),
            clients: vec![32, 128, 1_024],
            ..MAIN
        });
    }
    for (store, binlog) in [
        (Store::Mariadb, Binlog::Off),
        (Store::Mysql97, Binlog::On),
        (Store::Mysql97, Binlog::Off),
    ] {
        parts.push(Part {
            store,
            binlog,
            contestants: two.clone(),
            clients: ALL_CLIENTS.to_vec(),
            ..MAIN
        });
    }
    parts
}

/// The most telling figures, in less than a minute.
pub(crate) fn quick() -> Vec<Part> {
    vec![Part {
        contestants: vec![
            Contestant::Naive,
            Contestant::Wrapped,
            Contestant::Tandem,
            Contestant::Decided,
            Contestant::Sidecars,
        ],
        clients: vec![1, 32, 256, 1_024],
        offered: vec![0.8],
        series: true,
        ..MAIN
    }]
}

/// Lets another contestant take part.
pub(crate) fn invite(part: &mut Part, guest: Contestant) {
    if !part.contestants.contains(&guest) {
        part.contestants.push(guest);
    }
}

/// What the command line asks for; every combination.
#[derive(Debug, clap::Args)]
pub(crate) struct Chosen {
    /// Stores to run on
    #[arg(long, value_delimiter = ',')]
    store: Vec<Store>,
    /// MySQL's binary log
    #[arg(long, value_delimiter = ',')]
    binlog: Vec<Binlog>,
    /// What the clients buy
    #[arg(long, value_delimiter = ',')]
    workload: Vec<Workload>,
    /// Who takes part
    #[arg(long, value_delimiter = ',')]
    contestants: Vec<Contestant>,
    /// Numbers of clients, each of which asks again as soon as it is answered; 0 for none
    #[arg(long, value_delimiter = ',')]
    clients: Vec<usize>,
    /// Fixed rates at which purchases begin, as parts of naive's highest rate
    #[arg(long, value_delimiter = ',')]
    offered: Vec<f64>,
    /// Count the forced writes in series of a lone purchase
    #[arg(long)]
    series: bool,
}

impl Chosen {
    /// The parts; none if nothing was chosen.
    pub(crate) fn parts(&self) -> Vec<Part> {
        if self.store.is_empty()
            && self.binlog.is_empty()
            && self.workload.is_empty()
            && self.contestants.is_empty()
            && self.clients.is_empty()
            && self.offered.is_empty()
            && !self.series
        {
            return Vec::new();
        }
        self.combined(&[1, 32, 128, 256])
    }

    /// Every combination, with these numbers of clients unless others were chosen.
    pub(crate) fn combined(&self, clients: &[usize]) -> Vec<Part> {
        fn or<T: Clone>(given: &[T], otherwise: &[T]) -> Vec<T> {
            if given.is_empty() { otherwise } else { given }.to_vec()
        }
        let mut parts = Vec::new();
        for store in or(&self.store, &[Store::Mariadb]) {
            for binlog in or(&self.binlog, &[Binlog::On]) {
                for workload in or(&self.workload, &[Workload::Skus]) {
                    let mut clients = or(&self.clients, clients);
                    clients.retain(|clients| *clients > 0);
                    parts.push(Part {
                        store,
                        binlog,
                        workload,
                        contestants: or(
                            &self.contestants,
                            &[Contestant::Naive, Contestant::Tandem],
                        ),
                        clients,
                        offered: self.offered.clone(),
                        series: self.series,
                    });
                }
            }
        }
        parts
    }
}
