//! Files: sftp, both kinds of scp, and what people pipe.

use std::{fs, os::unix::fs::MetadataExt as _};

use super::{Doors, noise};

#[tokio::test]
async fn files_go_both_ways_by_sftp_scp_and_tar() {
    let doors = Doors::open().await;
    let bytes = noise(5 << 20);
    fs::write(doors.path("big"), &bytes).unwrap();
    let home = doors.world.home(&doors.world.alice);

    fs::write(
        doors.path("batch"),
        "put big one\nget one two\nrename one three\n",
    )
    .unwrap();
    let mut sftp = doors.command("sftp");
    sftp.args(["-b", "batch", "workspace"]);
    let output = doors.run(sftp).await;
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read(doors.path("two")).unwrap() == bytes);
    assert!(
        fs::read(home.join("three")).unwrap() == bytes,
        "it is in the workspace"
    );

    for (options, name) in [(vec![], "new"), (vec!["-O"], "old")] {
        let mut scp = doors.command("scp");
        scp.args(&options)
            .args(["-q", "big", &format!("workspace:{name}")]);
        let output = doors.run(scp).await;
        assert!(output.status.success(), "{options:?}: {output:?}");
        let mut scp = doors.command("scp");
        scp.args(&options)
            .args(["-q", &format!("workspace:{name}"), "back"]);
        let output = doors.run(scp).await;
        assert!(output.status.success(), "{options:?}: {output:?}");
        assert!(
            fs::read(doors.path("back")).unwrap() == bytes,
            "{options:?}"
        );
    }

    let made = doors
        .say("mkdir -p d && echo here > d/file && tar c d | base64 -w0")
        .await;
    let archive = base64(&made);
    let output = doors
        .ssh_with(&[], "mkdir e && tar x -C e && cat e/d/file", &archive)
        .await;
    assert_eq!(output.stdout, b"here\n");
    assert_eq!(fs::metadata(home.join("e/d/file")).unwrap().uid(), 1000);
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}
