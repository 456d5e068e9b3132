//! `simulate`: a simulated DigitalOcean account as a server, for any client of its API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueHint};
use serde_json::json;
use tokio::net::TcpListener;
use walkback::clock::SystemClock;
use walkback_digitalocean::Simulator;
use walkback_digitalocean::simulator::Server;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::failure::Failure;

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback simulate --token secret
  DIGITALOCEAN_API_URL=http://127.0.0.1:8080 DIGITALOCEAN_TOKEN=secret walkback run provision …

A page at / shows what exists; /_sim/things has it as JSON. What shall go wrong is asked for by a POST \
to /_sim/set: {\"fail_next\": {\"fault\": \"lost\", \"call\": \"POST /v2/droplets\"}}, {\"droplet_limit\": 3}, \
{\"lists_lag_seconds\": 10}. Faults are not_sent, lost, failed, done_and_failed, rate_limited and refused.";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// Where to listen; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Keep the account in this file; without one it is gone with the server.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    state: Option<PathBuf>,
    /// Who has this token is let in; may be said several times, each with rate limits of its own.
    #[arg(long = "token", value_name = "TOKEN", required = true)]
    tokens: Vec<String>,
    /// Who has this token may only read; may be said several times.
    #[arg(long = "read-only-token", value_name = "TOKEN")]
    read_only_tokens: Vec<String>,
    /// How much faster than real its clock runs.
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    speed: u32,
}

pub(crate) async fn run(app: &App, args: SimulateArgs) -> Outcome {
    let clock = Arc::new(SystemClock);
    let cloud = match &args.state {
        Some(file) => Simulator::kept_in(clock, file)
            .map_err(|why| Failure::new(Exit::Usage, format!("--state {why}")))?,
        None => Simulator::new(clock),
    };
    cloud.set(|settings| settings.speed = args.speed);
    let bound = TcpListener::bind(args.listen).await;
    let cannot = |error| Failure::new(Exit::Usage, format!("--listen {}: {error}", args.listen));
    let listener = bound.map_err(cannot)?;
    let url = format!("http://{}", listener.local_addr().map_err(cannot)?);
    if app.out.json {
        app.out.json(&json!({ "url": url }))?;
    } else {
        app.out.line(&format!("a simulated account at {url}/"))?;
    }
    let server = Server::new(cloud, args.tokens).read_only(args.read_only_tokens);
    server.serve(listener, app.stop.clone()).await;
    Ok(Exit::Interrupted)
}
