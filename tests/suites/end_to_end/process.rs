//! What the coordinator's process needs of the machine, and others take.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tandem_tests::{Case, World, purchase, tandem_program};

use super::helpers::*;

pub(crate) const CASES: &[Case] =
    &[case!(idle_connections_keep_neither_stores_nor_operators_out on TWO, with down)];

/// Far more than the coordinator may open files.
const IDLE: usize = 1_100;

async fn idle_connections_keep_neither_stores_nor_operators_out(world: &World) -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let limited = world.folder().join("limited");
    let program = tandem_program()?;
    let text = format!(
        "#!/bin/sh\nulimit -n 256 && exec '{}' \"$@\"\n",
        program.display()
    );
    fs::write(&limited, text)?;
    fs::set_permissions(&limited, fs::Permissions::from_mode(0o700))?;
    world.coordinator.run_build(Some(limited));
    world.coordinator.start(&world.start).await?;
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let mut all = vec![ask(&client, &purchase("p-1", &[("tea", 1)])).await];

    let connect = |port| TcpStream::connect(("127.0.0.1", port));
    let port = world.coordinator.client_port();
    let idle = std::iter::repeat_with(|| connect(port)).take(IDLE);
    let idle: Vec<TcpStream> = idle.collect::<Result<_, _>>()?;
    for (number, server) in [&*world.stores.mysql, &*world.stores.redis]
        .into_iter()
        .enumerate()
    {
        server.kill9()?;
        server.restart()?;
        let shown = world.tandem(&["participants", "--timeout", "5s"])?;
        ensure!(shown.status.success(), "{shown:?}");
        // Of a client that connects now, and of the one that was there.
        for (who, client) in [("new", world.coordinator.client()), ("old", client.clone())] {
            let wanted = purchase(&format!("p-{who}-{number}"), &[("tea", 1)]);
            let mut asked = ask(&client, &wanted).await;
            ask_until_final(world, &mut asked).await?;
            ensure_committed(&asked)?;
            all.push(asked);
        }
    }
    ensure!(idle.len() == IDLE);
    world.judge(&all).await?;
    Ok(())
}
