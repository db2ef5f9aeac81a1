//! What an app is told of the client.

use super::*;

#[test]
fn the_client_is_told_of_in_every_dialect() {
    for (addr, authority, https, port, forwarded) in [
        (
            "203.0.113.7",
            "a.test",
            false,
            "80",
            "for=203.0.113.7;host=a.test;proto=http",
        ),
        (
            "203.0.113.7",
            "a.test:8443",
            true,
            "8443",
            "for=203.0.113.7;proto=https",
        ),
        (
            "::ffff:203.0.113.7",
            "a.test",
            true,
            "443",
            "for=203.0.113.7;host=a.test;proto=https",
        ),
        (
            "2001:db8::1",
            "[2001:db8::2]",
            true,
            "443",
            "for=\"[2001:db8::1]\";proto=https",
        ),
        (
            "2001:db8::1",
            "[2001:db8::2]:81",
            false,
            "81",
            "for=\"[2001:db8::1]\";proto=http",
        ),
    ] {
        let mut head = parts("/codespace/alice/", &[]);
        let told = clean_with(&mut head, |to| {
            to.client.addr = addr.parse().unwrap();
            to.client.authority = authority;
            to.client.https = https;
        });
        assert_eq!(told, Ok(()));
        assert_eq!(said(&head, "host"), [authority]);
        assert_eq!(said(&head, "x-forwarded-host"), [authority]);
        assert_eq!(said(&head, "x-forwarded-port"), [port], "{authority}");
        assert_eq!(said(&head, "forwarded"), [forwarded], "{authority}");
        let plain = addr.trim_start_matches("::ffff:");
        assert_eq!(said(&head, "x-forwarded-for"), [plain]);
    }
}

#[test]
fn what_we_say_can_not_break_the_head() {
    for (authority, request_id, prefix) in [("a\r\nx: y", "r", PREFIX), ("a", "r\n", PREFIX)] {
        let mut head = parts("/codespace/alice/", &[]);
        let result = clean_with(&mut head, |to| {
            to.client.authority = authority;
            to.client.request_id = request_id;
            to.prefix = prefix;
        });
        assert!(
            matches!(result, Err(HeadError::Unsayable(_))),
            "{authority:?}"
        );
    }
}
