//! What outlives a restart of the proxy, and what two proxies on one engine leave to each other.

use super::*;

/// A house whose first user has started a workspace and done something in it.
async fn used(stays: bool) -> House {
    let mut house = House::new().await;
    house.take(&Step::Start(0)).await;
    let hit = Step::Hit {
        user: 0,
        input: true,
        stays,
    };
    house.take(&hit).await;
    house
}

#[test]
fn the_second_proxy_on_an_engine_leaves_the_first_ones_containers_alone() {
    in_paused_time(async {
        let mut house = used(true).await;
        let other = Made {
            who: "two",
            ..house.engine.clone()
        };
        let other = open(&other, &house.config, &house.stop).await;
        assert!(other.list().is_empty());
        assert!(
            other
                .stop(&username(0), StopReason::Operator)
                .await
                .is_err()
        );
        sleep(4 * TIMEOUT).await;
        assert!(house.engine.shared.of(USERS[0]).unwrap().runs());
        house.check().unwrap();
    });
}

#[test]
fn a_stop_is_explained_also_after_a_restart() {
    in_paused_time(async {
        let mut house = used(false).await;
        sleep(Duration::from_secs(30)).await;
        let explained = house.workspaces.explain(&username(0));
        let stop = explained.stop.clone().unwrap();
        assert_eq!(
            (stop.held_by.as_str(), stop.in_seconds),
            ("input", Some(30)),
            "{explained:?}"
        );
        assert!(!stop.notice);
        sleep(Duration::from_secs(25)).await;
        assert!(house.workspaces.explain(&username(0)).stop.unwrap().notice);
        sleep(Duration::from_secs(20)).await;
        house.check().unwrap();
        house.take(&Step::Restart).await;
        let explained = house.workspaces.explain(&username(0));
        assert_eq!(explained.state, "stopped");
        println!("{explained:?}");
        let last = explained.last_stop.clone().unwrap();
        assert_eq!(last.reason, "idle");
        assert!(last.because.contains("a page"), "{explained:?}");
    });
}

#[test]
fn a_keep_outlives_a_restart_of_ours_and_has_its_bounds() {
    in_paused_time(async {
        let mut house = House::new().await;
        assert!(
            house.workspaces.keep(&username(0), TIMEOUT).is_err(),
            "it doesn't run"
        );
        house.take(&Step::Start(0)).await;
        let (least, most) = (Duration::from_mins(5), Duration::from_hours(1));
        assert!(
            house.workspaces.keep(&username(0), most).is_err(),
            "longer than allowed"
        );
        house.take(&Step::Keep(0, least.as_secs())).await;
        // Also if the engine answers in the moment in which it is asked.
        for takes in [0, 1] {
            house.take(&Step::EngineTakes(takes)).await;
            house.take(&Step::Restart).await;
            sleep(2 * TIMEOUT).await;
            let explained = house.workspaces.explain(&username(0));
            assert_eq!(
                explained.stop.clone().unwrap().held_by,
                "kept",
                "{explained:?}"
            );
        }
        sleep(5 * TIMEOUT).await;
        house.check().unwrap();
        assert!(!house.engine.shared.of(USERS[0]).unwrap().runs());
    });
}
