//! One world for many stories.

use std::ops::Deref;

use tokio::sync::OnceCell;

use super::{World, config};

/// The world that all stories share which leave it as they found it: alice and bob each have a
/// running container with the recorder.
pub async fn shared() -> Shared {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    let make = async || {
        let world = World::start(config::RECORDER).await;
        for user in [&world.alice, &world.bob] {
            let person = world.log_in(user).await;
            person.open("recorder").await;
        }
        world
    };
    Shared(WORLD.get_or_init(make).await)
}

/// A loan of the shared world; a failing story prints the log on giving it back.
pub struct Shared(&'static World);

impl Deref for Shared {
    type Target = World;

    fn deref(&self) -> &World {
        self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.0.close();
    }
}
