//! `tandem dev --demo`: the stage for the story, and what is shown when it goes wrong.

use std::time::Instant;

use anyhow::Context;

use crate::acts::Stage;
use crate::binaries::Binaries;
use crate::coordinator::tail;
use crate::machine::Machine;
use crate::ports::Ports;
use crate::story::Story;

/// Plays the story on fresh servers in a temporary folder, which is removed at the end.
///
/// # Errors
/// If anything was not as the story tells it; what it was is on stdout then.
pub(crate) async fn play(binaries: &Binaries) -> anyhow::Result<()> {
    let begun = Instant::now();
    let folder = tempfile::Builder::new()
        .prefix("tandem-demo-")
        .tempdir()
        .context("create a temporary folder")?;
    let story = Story::new();
    story.heading("tandem: a purchase is in both stores or in none");
    story.say(&format!(
        "This starts a {} and a {} of its own (called MySQL and Redis below), sells a few things, \
         and kills the coordinator and Redis at the worst moments. After each step both stores are \
         read directly, not through tandem. Everything is in a temporary folder and goes away at \
         the end.",
        binaries.mysql, binaries.redis
    ));
    let mut machine = Machine::start(binaries, folder.path(), Ports::any()?).await?;
    let coordinator = machine.coordinator(None).await?;
    let mut stage = Stage::new(story, coordinator, machine);
    if let Err(error) = stage.play().await {
        show_logs(&stage);
        return Err(error.context("the story went wrong"));
    }
    let story = stage.close().await?;
    story.say(&format!(
        "All {} checks passed, in {:.1} s.",
        story.checks(),
        begun.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn show_logs(stage: &Stage) {
    let machine = stage.machine();
    for (whose, log) in [
        ("The coordinator's", tail(&machine.log())),
        ("MySQL's", machine.stores.mysql.log_tail()),
        ("Redis'", machine.stores.redis.log_tail()),
    ] {
        stage.story().heading(&format!("{whose} log, its end"));
        for line in log.lines() {
            stage.story().line(line);
        }
    }
}
