//! Stores that are away, at the start or later.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use redis::aio::MultiplexedConnection;
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
    case!(password_that_was_mended_is_tried_at_once_by_a_person on TWO, with apps_user),
    case!(password_of_a_sidecar_is_tried_at_once_by_a_person on ONE, with sidecars_of_apps_user),
];

/// Whose password may be changed.
fn apps_user() -> tandem_tests::Setup {
    let mut setup = tandem_tests::Setup::default();
    setup.stores.app_user = true;
    setup
}

fn sidecars_of_apps_user() -> tandem_tests::Setup {
    tandem_tests::Setup {
        sidecars: true,
        ..apps_user()
    }
}

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

/// A password that is wrong is tried rarely, and the pause is far longer than this case: what goes on at
/// once goes on because somebody asked for it.
async fn password_that_was_mended_is_tried_at_once_by_a_person(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let mut asked = vec![ask(&client, &purchase("p-0", &[("tea", 1)])).await];
    ensure_committed(&asked[0])?;
    let mut kv = world.stores.kv().await?;
    set_password(&mut kv, "other").await?;
    let _: i64 = redis::cmd("CLIENT")
        .arg(&["KILL", "USER", "shop"])
        .query_async(&mut kv)
        .await?;
    // The third try comes after a minute.
    until("it was denied twice", SOON, async || {
        Ok(denials(&mut kv).await? == 2)
    })
    .await?;
    let operator = world.coordinator.operator();
    until("the operator is told what to do", SOON, async || {
        let status = operator.participant("stock").await?;
        Ok(status.state() == LinkState::Down
            && status.detail.contains("WRONGPASS")
            && status.detail.contains("by `tandem participants retry`"))
    })
    .await?;
    let wanted = purchase("p-1", &[("tea", 1)]);
    let status = client.submit(&wanted).await.unwrap_err();
    assert_reason(&status, Code::Unavailable, "PARTICIPANT_UNAVAILABLE");

    let early = world.tandem(&["participants", "retry", "stock"])?;
    let said = String::from_utf8_lossy(&early.stdout).into_owned();
    ensure!(early.status.code() == Some(1), "{early:?}");
    ensure!(
        said.contains("stock: not connected: ") && said.contains("WRONGPASS"),
        "{said}"
    );
    ensure!(denials(&mut kv).await? == 3, "not tried once");
    set_password(&mut kv, "shop").await?;
    let mended = world.tandem(&["participants", "retry", "stock"])?;
    ensure!(mended.status.success(), "{mended:?}");
    let mut made = Asked {
        purchase: wanted,
        answers: vec![Answer::of(&Err(status))],
    };
    ask_until_final(world, &mut made).await?;
    ensure_committed(&made)?;
    ensure!(denials(&mut kv).await? == 3, "tried too often");
    // One that is up may be tried as well, and nobody notices.
    let again = world.tandem(&["participants", "retry", "stock"])?;
    ensure!(again.status.success(), "{again:?}");
    asked.push(ask(&client, &purchase("p-2", &[("tea", 1)])).await);
    ensure_committed(&asked[1])?;
    asked.push(made);
    world.judge(&asked).await?;
    Ok(())
}

async fn password_of_a_sidecar_is_tried_at_once_by_a_person(world: &World) -> Result<()> {
    password_that_was_mended_is_tried_at_once_by_a_person(world).await
}

async fn set_password(kv: &mut MultiplexedConnection, password: &str) -> Result<()> {
    let words = ["SETUSER", "shop", "resetpass", &format!(">{password}")];
    let () = redis::cmd("ACL").arg(&words).query_async(kv).await?;
    Ok(())
}

/// How often the server has refused a password.
async fn denials(kv: &mut MultiplexedConnection) -> Result<u64> {
    let entries: Vec<HashMap<String, redis::Value>> =
        redis::cmd("ACL").arg("LOG").query_async(kv).await?;
    let mut denials = 0;
    for mut entry in entries {
        let mut field = |name| entry.remove(name).unwrap_or(redis::Value::Nil);
        let (reason, count) = (field("reason"), field("count"));
        if redis::from_redis_value::<String>(reason)? == "auth" {
            denials += redis::from_redis_value::<u64>(count)?;
        }
    }
    Ok(denials)
}
