//! What can be done to each process of a world.

use std::fmt;
use std::process::ExitStatus;

use anyhow::Result;
use tokio::task::block_in_place;

use crate::coordinator::Start;
use crate::sidecar::Sidecar;
use crate::world::World;

/// How Redis says at its end that a crash came while a file was being rewritten.
const NOT_THE_LAST_FILE: &str = "the truncated file is not the last file";

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `tandem serve`.
    Coordinator,
    /// `tandem participant mysql`.
    MysqlSidecar,
    /// `tandem participant redis`.
    RedisSidecar,
    /// MariaDB or MySQL.
    Mysql,
    /// Redis or Valkey.
    Redis,
}

impl Part {
    /// All processes.
    pub const ALL: [Part; 5] = [
        Part::Coordinator,
        Part::MysqlSidecar,
        Part::RedisSidecar,
        Part::Mysql,
        Part::Redis,
    ];
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Coordinator => "coordinator",
            Part::MysqlSidecar => "mysql_sidecar",
            Part::RedisSidecar => "redis_sidecar",
            Part::Mysql => "mysql",
            Part::Redis => "redis",
        })
    }
}

impl World {
    /// The sidecar that this part is.
    pub(crate) fn sidecar(&self, part: Part) -> &Sidecar {
        &self.sidecars[usize::from(part == Part::RedisSidecar)]
    }

    /// Whether its process runs, as far as the kernel says.
    pub(crate) fn runs(&self, part: Part) -> Result<bool> {
        // A server that is being started is not to be asked, so that takes a while.
        block_in_place(|| match part {
            Part::Coordinator => self.coordinator.runs(),
            Part::MysqlSidecar | Part::RedisSidecar => self.sidecar(part).runs(),
            Part::Mysql => self.stores.mysql.runs(),
            Part::Redis => self.stores.redis.runs(),
        })
    }

    /// SIGKILL. Gives whether it ran.
    pub(crate) fn kill(&self, part: Part) -> Result<bool> {
        let ran = self.runs(part)?;
        block_in_place(|| match part {
            Part::Coordinator => self.coordinator.kill9(),
            Part::MysqlSidecar | Part::RedisSidecar => self.sidecar(part).kill9(),
            Part::Mysql => self.stores.mysql.kill9(),
            Part::Redis => self.stores.redis.kill9(),
        })?;
        Ok(ran)
    }

    /// Starts it, if it is down, without a wait for more than a server's own start.
    pub(crate) fn revive(&self, part: Part, step: Option<&str>) -> Result<()> {
        block_in_place(|| match part {
            Part::Coordinator => {
                let env = step.map(|step| ("TANDEM_AT".to_owned(), step.to_owned()));
                let start = Start {
                    env: env.into_iter().collect(),
                    ..self.start.clone()
                };
                self.coordinator.revive(&start)
            }
            Part::MysqlSidecar | Part::RedisSidecar => self.sidecar(part).revive(step),
            Part::Mysql => self.stores.mysql.revive(),
            Part::Redis => self.revive_redis(),
        })?;
        Ok(())
    }

    /// What the operator's manual says of a Redis that died while it rewrote a torn file: it has cut the
    /// file rightly by then, and starts the second time.
    fn revive_redis(&self) -> Result<bool> {
        let redis = &self.stores.redis;
        match redis.revive() {
            Err(_) if redis.log_tail().contains(NOT_THE_LAST_FILE) => redis.revive(),
            revived => revived,
        }
    }

    /// SIGSTOP.
    pub(crate) fn pause(&self, part: Part) -> Result<()> {
        block_in_place(|| match part {
            Part::Coordinator => self.coordinator.pause(),
            Part::MysqlSidecar | Part::RedisSidecar => self.sidecar(part).pause(),
            Part::Mysql => self.stores.mysql.pause(),
            Part::Redis => self.stores.redis.pause(),
        })
    }

    /// SIGCONT.
    pub(crate) fn resume(&self, part: Part) -> Result<()> {
        match part {
            Part::Coordinator => self.coordinator.resume(),
            Part::MysqlSidecar | Part::RedisSidecar => self.sidecar(part).resume(),
            Part::Mysql => self.stores.mysql.resume(),
            Part::Redis => self.stores.redis.resume(),
        }
    }

    /// How one of tandem's processes ended by itself, if it has.
    pub(crate) fn ended(&self, part: Part) -> Result<Option<ExitStatus>> {
        match part {
            Part::Coordinator => self.coordinator.ended(),
            _ => self.sidecar(part).ended(),
        }
    }
}
