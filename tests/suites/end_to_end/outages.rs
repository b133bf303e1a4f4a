//! Stores that are away, at the start or later.

use anyhow::{Result, ensure};
use tandem_proto::v1::LinkState;
use tandem_tests::{Answer, Asked, Case, Start, World, purchase, until};
use tonic::Code;

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(purchases_wait_out_a_dead_mysql on TWO),
    case!(purchases_wait_out_a_dead_redis on TWO),
    case!(daemon_runs_and_serves_when_its_stores_appear on TWO, with down),
    case!(daemon_says_what_it_tried_at_a_wrong_server on ONE, with down),
    case!(sidecar_that_dies_comes_back_without_help on ONE, with sidecars),
];

fn sidecars() -> tandem_tests::Setup {
    tandem_tests::Setup {
        sidecars: true,
        ..tandem_tests::Setup::default()
    }
}

/// While a store is down purchases are turned away with a hint; when it is back they are made.
async fn waits_out(
    world: &World,
    kill: impl FnOnce() -> Result<()>,
    heal: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let client = world.coordinator.client();
    let mut asked = vec![ask(&client, &purchase("p-0", &[("tea", 1)])).await];
    ensure_committed(&asked[0])?;
    kill()?;
    for number in 1..6 {
        let wanted = purchase(&format!("p-{number}"), &[("tea", 1)]);
        let status = client.submit(&wanted).await.unwrap_err();
        assert_reason(&status, Code::Unavailable, "PARTICIPANT_UNAVAILABLE");
        assert_says_when_to_retry(&status);
        asked.push(Asked {
            purchase: wanted,
            answers: vec![Answer::of(&Err(status))],
        });
    }
    heal()?;
    for one in &mut asked[1..3] {
        ask_until_final(world, one).await?;
        ensure_committed(one)?;
    }
    let books = world.judge(&asked).await?;
    ensure!(books.committed == 3, "{books}");
    Ok(())
}

async fn purchases_wait_out_a_dead_mysql(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    waits_out(
        world,
        || world.stores.mysql.kill9(),
        || world.stores.mysql.restart(),
    )
    .await
}

async fn purchases_wait_out_a_dead_redis(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    waits_out(
        world,
        || world.stores.redis.kill9(),
        || world.stores.redis.restart(),
    )
    .await
}

async fn daemon_runs_and_serves_when_its_stores_appear(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    world.stores.mysql.stop()?;
    world.stores.redis.stop()?;
    world.coordinator.launch(&world.start)?;
    let operator = world.coordinator.operator();
    until("both are known to be down", SOON, async || {
        Ok(operator.participants().await.is_ok_and(|answer| {
            let down = |one: &tandem_proto::v1::ParticipantStatus| {
                one.state() == LinkState::Down && one.detail.contains("127.0.0.1")
            };
            answer.participants.len() == 2 && answer.participants.iter().all(down)
        }))
    })
    .await?;
    let client = world.coordinator.client();
    until("purchases are turned away", SOON, async || {
        let answer = client.submit(&purchase("p-0", &[("tea", 1)])).await;
        Ok(answer.is_err_and(|status| status.code() == Code::Unavailable))
    })
    .await?;
    world.stores.redis.restart()?;
    world.stores.mysql.restart()?;
    world.coordinator.ready().await?;
    let mut made = Asked {
        purchase: purchase("p-1", &[("tea", 1)]),
        answers: Vec::new(),
    };
    ask_until_final(world, &mut made).await?;
    ensure_committed(&made)?;
    world.judge(&[made]).await?;
    Ok(())
}

async fn daemon_says_what_it_tried_at_a_wrong_server(world: &World) -> Result<()> {
    // The Redis is asked to be the MySQL, and the other way round.
    let (mysql, redis) = (world.stores.mysql.port(), world.stores.redis.port());
    let participants = format!(
        "[participants.purchases.mysql]\nurl = \"mysql://root@127.0.0.1:{redis}/shop\"\n\
         connect_timeout_ms = 500\n\
         [participants.stock.redis]\nurl = \"redis://127.0.0.1:{mysql}/\"\n\
         connect_timeout_ms = 500\nresponse_timeout_ms = 500\n"
    );
    world.coordinator.launch(&Start {
        participants,
        ..world.start.clone()
    })?;
    let operator = world.coordinator.operator();
    for (name, port) in [("purchases", redis), ("stock", mysql)] {
        until("the wrong server is named", SOON, async || {
            let one = operator.participant(name).await;
            Ok(one.is_ok_and(|one| {
                one.state() == LinkState::Down && one.detail.contains(&port.to_string())
            }))
        })
        .await?;
    }
    ensure!(world.coordinator.ended()?.is_none());
    // With the right ones it serves.
    world.coordinator.stop()?;
    world.start_again().await
}

async fn sidecar_that_dies_comes_back_without_help(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let mut all = Vec::new();
    for (number, sidecar) in world.sidecars.iter().enumerate() {
        sidecar.kill9()?;
        let status = client
            .submit(&purchase(&format!("lost-{number}"), &[("tea", 1)]))
            .await
            .unwrap_err();
        assert_reason(&status, Code::Unavailable, "PARTICIPANT_UNAVAILABLE");
        sidecar.restart().await?;
        let mut made = Asked {
            purchase: purchase(&format!("made-{number}"), &[("tea", 1)]),
            answers: Vec::new(),
        };
        ask_until_final(world, &mut made).await?;
        ensure_committed(&made)?;
        all.push(made);
    }
    world.judge(&all).await?;
    Ok(())
}
