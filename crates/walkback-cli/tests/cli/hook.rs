//! Whoever is named by `--on-attention` is told, and the ledger says so.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread::JoinHandle;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::desk::Desk;
use crate::operator::jammed;

const KEY: &[u8] = b"a key of twenty-four bytes";

fn secret() -> String {
    format!("whsec_{}", BASE64_STANDARD.encode(KEY))
}

/// What a webhook was sent.
struct Post {
    head: Vec<String>,
    body: String,
}

impl Post {
    fn header(&self, name: &str) -> &str {
        let line = self.head.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {:?}", self.head))
    }
}

/// Answers one request after the other with these lines, and tells what was sent.
fn server(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<Post>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/secret-path", listener.local_addr().unwrap());
    let serve = move || {
        let mut posts = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let lines = reader.by_ref().lines().map(Result::unwrap);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let post = Post { head, body: String::new() };
            let mut body = vec![0; post.header("content-length").parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            posts.push(Post { body: String::from_utf8(body).unwrap(), ..post });
            write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .unwrap();
        }
        posts
    };
    (url, std::thread::spawn(serve))
}

/// Works until idle and tells this hook.
fn work(desk: &Desk, hook: &str) -> crate::desk::Ran {
    let mut command = desk.command(&["work", "--until-idle", "--on-attention", hook]);
    command.env("WALKBACK_WEBHOOK_SECRET", secret()).output().unwrap().into()
}

/// What the hook left in the ledger.
fn calls(desk: &Desk, id: &str) -> Vec<Value> {
    let rows = desk.run(&["ledger", id, "--json"]).json_lines();
    rows.into_iter().filter(|row| row["kind"].as_str().unwrap().starts_with("hook_")).collect()
}

#[test]
fn a_program_is_told_of_what_needs_a_person() {
    let desk = Desk::new();
    let id = jammed(&desk);
    desk.write("page", "#!/bin/sh\ncat > told.json\n");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(desk.path().join("page"), mode).unwrap();
    let ran = work(&desk, "./page");
    assert_eq!(ran.code, 0, "{ran:?}");
    let told = std::fs::read_to_string(desk.path().join("told.json")).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["type"], &told["data"]["id"]), (&json!("saga.attention"), &json!(id)));
    assert_eq!(told["data"]["next"][0]["command"], json!(format!("walkback retry {id}")));
    let calls = calls(&desk, &id);
    assert_eq!((calls.len(), &calls[0]["kind"]), (1, &json!("hook_delivered")));
    assert_eq!(calls[0]["actor"], "hook ./page");
    let explained = desk.run(&["explain", &id]).out;
    assert!(explained.contains("people were told by the hook"), "{explained}");
    assert_eq!(desk.run(&["verify"]).code, 0);
}

#[test]
fn a_webhook_is_signed_and_told_again_until_it_answers_well() {
    let desk = Desk::new();
    let id = jammed(&desk);
    let (url, served) = server(&["500 Internal Server Error"]);
    let ran = work(&desk, &url);
    assert_eq!(ran.code, 0, "{ran:?}");
    let first = served.join().unwrap().remove(0);
    let (url, served) = server(&["204 No Content"]);
    while !served.is_finished() {
        assert_eq!(work(&desk, &url).code, 0, "it is due again after a second");
    }
    let second = served.join().unwrap().remove(0);
    for post in [&first, &second] {
        let (id, timestamp) = (post.header("webhook-id"), post.header("webhook-timestamp"));
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
        mac.update(format!("{id}.{timestamp}.{}", post.body).as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        assert_eq!(post.header("webhook-signature"), format!("v1,{signature}"));
    }
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    let calls = calls(&desk, &id);
    let kinds: Vec<_> = calls.iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["hook_failed", "hook_delivered"]);
    let error = calls[0]["payload"]["error"].as_str().unwrap();
    assert_eq!(error, "it answered 500 Internal Server Error");
    let actor = calls[0]["actor"].as_str().unwrap();
    assert!(actor.starts_with("hook http://127.0.0.1:") && !actor.contains("secret"), "{actor}");
}

#[test]
fn a_hook_that_cannot_be_one_is_refused_at_the_start() {
    let desk = Desk::new();
    let refused = |hook: &str, secret: Option<&str>, said: &str| {
        let mut command = desk.command(&["work", "--until-idle", "--on-attention", hook]);
        if let Some(secret) = secret {
            command.env("WALKBACK_WEBHOOK_SECRET", secret);
        }
        let ran: crate::desk::Ran = command.output().unwrap().into();
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.starts_with("error: --on-attention: "), "{ran:?}");
        assert!(ran.err.contains(said), "{ran:?}");
        assert!(!desk.path().join("walkback.db").exists());
    };
    refused("./absent", None, "`./absent` is not there: expected a program");
    refused("no-such-program-anywhere", None, "is not there");
    refused("https://example.com/hook", None, "WALKBACK_WEBHOOK_SECRET is not set");
    refused("https://example.com/hook", Some("short"), "expected `whsec_`");
    refused("http://", Some(&secret()), "is no URL");
}
