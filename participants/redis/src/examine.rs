//! All that a look finds, what mends it, and what a trial tells besides.

use redis::cmd;
use tandem_participant::{CheckedStore, Error, Examined, Participant, Trial, clock};

use crate::danger::Danger;
use crate::describe::Seen;
use crate::participant::{Learnt, RedisParticipant};
use crate::{remedy, trial};

impl RedisParticipant {
    /// Looks, and tries.
    pub(crate) async fn look_and_try(&self) -> Result<Examined, Error> {
        let what = "examining the server";
        // Whoever may not run a script may not try his rights either.
        let asked = match self.rights.missing(&self.connection).await {
            Err(error) if is_of_rights(&error) => Err(error.to_string()),
            asked => Ok(asked?),
        };
        let (tried, refused) = match &asked {
            Ok(_) => match self.try_commands(what).await {
                Ok(tried) => (tried, None),
                // A server that takes no writes at the moment; one that is gone says so below.
                Err(error) => (None, Some(error.to_string())),
            },
            Err(_) => (None, None),
        };
        let rights = match &asked {
            Err(words) => Some(words.clone()),
            Ok(missing) if missing.is_empty() => tried,
            Ok(missing) => {
                let named: Vec<String> = missing.iter().map(|one| format!("+{one}")).collect();
                let also = tried.map(|tried| format!("; {tried}")).unwrap_or_default();
                Some(format!(
                    "the user may not run all that is sent beside the scripts: {}{also}",
                    named.join(" ")
                ))
            }
        };
        self.learn(Learnt {
            torn_end: None,
            rights: rights.clone(),
        });
        let lines = self.rights_lines(rights.as_deref().unwrap_or_default());
        let seen = Seen::read(&self.connection).await?;
        let dangers = self.dangers_of(&seen);
        let user = self.connection.user();
        let remedies = Examined::remedies(&dangers, |danger| remedy::of(danger, user, &lines));
        let description = self.describe().await?;
        let is_replica = dangers.iter().any(|one| matches!(one, Danger::Replica(_)));
        let trial = match (rights, refused) {
            (Some(_), _) => Trial::Skipped("rights are missing".to_owned()),
            _ if is_replica => Trial::Skipped("the server takes no writes".to_owned()),
            (None, Some(words)) => Trial::Failed(words),
            (None, None) => trial::run(&self.trial_settings, &self.connection).await,
        };
        Ok(Examined {
            checked: CheckedStore {
                description,
                faults: Vec::new(),
            },
            remedies,
            clock_ahead_ms: self.clock_ahead(what).await?,
            trial,
        })
    }

    /// The commands that grant what is needed; those of fields only where this server knows them, since a
    /// command that it does not know would be refused.
    fn rights_lines(&self, missing: &str) -> Vec<String> {
        let of_fields = self.rights.line_of_fields();
        let of_fields = of_fields.filter(|_| missing.contains("HPEXPIRE"));
        [Some(self.rights.addition()), of_fields]
            .into_iter()
            .flatten()
            .collect()
    }

    /// How far the server's clock is ahead, in milliseconds.
    async fn clock_ahead(&self, what: &str) -> Result<Option<i64>, Error> {
        let asked = clock::now();
        let answer: Result<(i64, i64), String> = self
            .connection
            .command_if_allowed(what, &cmd("TIME"))
            .await?;
        let theirs = answer
            .ok()
            .map(|(seconds, micros)| seconds * 1_000 + micros / 1_000);
        Ok(theirs.map(|theirs| clock::ahead_ms(asked, theirs)))
    }
}

fn is_of_rights(error: &Error) -> bool {
    error.to_string().to_lowercase().contains("noperm")
}
