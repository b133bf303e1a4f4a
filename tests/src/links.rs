//! The proxies between every two parts that talk to each other.

use std::fmt;

use anyhow::Result;

use crate::coordinator::Coordinator;
use crate::proxy::Proxy;
use crate::sidecar::{Sidecar, SidecarKind};

/// Which two parts a link is between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkName {
    /// The clients and the coordinator.
    Clients,
    /// The coordinator and the sidecar beside MySQL.
    MysqlSidecar,
    /// The coordinator and the sidecar beside Redis.
    RedisSidecar,
    /// MySQL and its sidecar.
    Mysql,
    /// Redis and its sidecar.
    Redis,
}

impl LinkName {
    /// All links.
    pub const ALL: [LinkName; 5] = [
        LinkName::Clients,
        LinkName::MysqlSidecar,
        LinkName::RedisSidecar,
        LinkName::Mysql,
        LinkName::Redis,
    ];
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LinkName::Clients => "clients-coordinator",
            LinkName::MysqlSidecar => "coordinator-mysql_sidecar",
            LinkName::RedisSidecar => "coordinator-redis_sidecar",
            LinkName::Mysql => "mysql_sidecar-mysql",
            LinkName::Redis => "redis_sidecar-redis",
        })
    }
}

/// All five.
#[derive(Debug)]
pub struct Links {
    clients: Proxy,
    sidecars: [Proxy; 2],
    stores: [Proxy; 2],
}

impl Links {
    /// Adds to the links before the stores those before the coordinator and the sidecars.
    pub(crate) async fn close(
        coordinator: &Coordinator,
        sidecars: &[Sidecar],
        stores: [Proxy; 2],
    ) -> Result<Links> {
        let [mysql, redis] = sidecars else {
            anyhow::bail!("there are links to two sidecars, not {}", sidecars.len());
        };
        Ok(Links {
            clients: Proxy::start(coordinator.client_port()).await?,
            sidecars: [
                Proxy::start(mysql.port()).await?,
                Proxy::start(redis.port()).await?,
            ],
            stores,
        })
    }

    /// The proxy of a link.
    pub fn of(&self, name: LinkName) -> &Proxy {
        match name {
            LinkName::Clients => &self.clients,
            LinkName::MysqlSidecar => &self.sidecars[0],
            LinkName::RedisSidecar => &self.sidecars[1],
            LinkName::Mysql => &self.stores[0],
            LinkName::Redis => &self.stores[1],
        }
    }

    /// The proxy before a sidecar.
    pub fn to_sidecar(&self, kind: SidecarKind) -> &Proxy {
        self.of(match kind {
            SidecarKind::Mysql => LinkName::MysqlSidecar,
            SidecarKind::Redis => LinkName::RedisSidecar,
        })
    }
}
