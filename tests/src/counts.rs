//! What the stores have counted as deducted, by the coordinator's own audit.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::world::World;

impl World {
    /// Checks that each store has counted as many units of each sku as the log has decided, whatever
    /// the log has forgotten and the stores have gone through; the rest of the audit is not looked at.
    ///
    /// # Errors
    /// If a count differs, or was not compared.
    pub fn counts_agree(&self) -> Result<()> {
        let output = self.tandem(&["audit", "--output", "json"])?;
        let said = || String::from_utf8_lossy(&output.stderr).into_owned();
        let document: Value = serde_json::from_slice(&output.stdout).with_context(said)?;
        let found = document["disagreements"].as_array();
        let wrong = found
            .into_iter()
            .flatten()
            .find(|one| one["kind"] == "DEDUCTED_DIFFERS");
        ensure!(
            wrong.is_none(),
            "invariant_counts_are_what_was_decided: {wrong:?}"
        );
        ensure!(
            document["summary"]["skus"].as_u64() > Some(0),
            "no count was compared: {document:#}"
        );
        Ok(())
    }
}
