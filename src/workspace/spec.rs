//! What a user's container is made of, and the fingerprint by which an old one is known.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{DirBuilderExt as _, chown},
    path::PathBuf,
};

use super::{Instance, phase::Cause};
use crate::{
    config::Workspace,
    engine::ContainerSpec,
    names::{ContainerName, Username},
    secret::hex,
};

/// Whose container it is.
pub const USER_LABEL: &str = "vestibule.user";
/// What it was made of.
pub const SPEC_LABEL: &str = "vestibule.spec";
/// The user's id at the web application, if it was known as it was made.
pub const UID_LABEL: &str = "vestibule.user_id";
/// Which installation made it.
pub const INSTANCE_LABEL: &str = "vestibule.instance";

/// The user of the image, and its group: whose the files are.
pub const UID: u32 = 1000;
/// Where the user's directory appears.
const HOME: &str = "/home/user";

/// The fingerprint of all that containers are made of, the same for every user.
pub fn fingerprint(config: &Workspace, image_id: &str) -> String {
    let parts = format!(
        "{image_id}\n{}\n{}\n{}\n{:?}\n{}\n{:?}\n{:?}\n{}",
        config.memory,
        config.cpu_millis,
        config.pids,
        config.capabilities,
        config.network,
        config.mounts,
        config.env,
        config.data_root.display(),
    );
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, parts.as_bytes());
    hex(&digest.as_ref()[..16])
}

/// What to make `user`'s container of. Makes the user's directory if there is none.
///
/// # Errors
/// [`Cause::DataDirectory`] and [`Cause::MountMissing`].
pub fn container(
    config: &Workspace,
    instance: &Instance,
    user: &Username,
    uid: Option<&str>,
    image_id: &str,
) -> Result<ContainerSpec, Cause> {
    let home = data_directory(config, user)?;
    let mut mounts = vec![(home.display().to_string(), HOME.to_owned(), false)];
    for mount in &config.mounts {
        if mount.source.exists() {
            mounts.push((
                mount.source.display().to_string(),
                mount.target.clone(),
                true,
            ));
        } else if mount.optional {
            tracing::warn!(%user, source = %mount.source.display(), "optional mount skipped: not there");
        } else {
            return Err(Cause::MountMissing(mount.source.clone()));
        }
    }
    let mut env = config.env.clone();
    env.insert("USERNAME".to_owned(), user.to_string());
    env.extend(uid.map(|uid| ("USER_ID".to_owned(), uid.to_owned())));
    let mut labels = BTreeMap::from([
        (USER_LABEL.to_owned(), user.to_string()),
        (SPEC_LABEL.to_owned(), fingerprint(config, image_id)),
        (INSTANCE_LABEL.to_owned(), instance.id.clone()),
    ]);
    labels.extend(uid.map(|uid| (UID_LABEL.to_owned(), uid.to_owned())));
    Ok(ContainerSpec {
        name: ContainerName::of(user).as_str().to_owned(),
        image: image_id.to_owned(),
        labels,
        env: env
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        mounts,
        network: config.network.clone(),
        memory: config.memory,
        cpu_millis: config.cpu_millis,
        pids: config.pids,
        capabilities: config.capabilities.clone(),
    })
}

/// The user's directory, made if there is none, and then theirs.
fn data_directory(config: &Workspace, user: &Username) -> Result<PathBuf, Cause> {
    let path = config.data_root.join(user.escaped());
    let make = || -> io::Result<()> {
        fs::create_dir_all(&config.data_root)?;
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => chown(&path, Some(UID), Some(UID)).inspect_err(|_| {
                // Left behind, it would pass for a good one at the next try.
                let _ = fs::remove_dir(&path);
            }),
            // A link would lead the mount out of the data root.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let is_dir = fs::symlink_metadata(&path)?.is_dir();
                if is_dir {
                    Ok(())
                } else {
                    Err(io::Error::from(io::ErrorKind::NotADirectory))
                }
            }
            Err(error) => Err(error),
        }
    };
    match make() {
        Ok(()) => Ok(path),
        Err(error) => Err(Cause::DataDirectory {
            why: error.to_string(),
            path,
        }),
    }
}
