//! Sample services that are processes of their own: this program, started once more.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exorelay::security::{self, Requester};
use exorelay::{Context, HandlerError, Message, Relay, Service};
use serde::Deserialize;
use serde_json::json;

/// The argument that asks for one.
pub const SAMPLE: &str = "sample-service";

#[derive(Deserialize)]
struct Greet {
    name: String,
}

/// Runs the sample service that the arguments ask for, if they do.
pub async fn run_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != SAMPLE {
        return None;
    }
    let name = arguments.next()?;
    let service = match name.as_str() {
        "greeter" => greeter(),
        "prepared" => prepared(),
        "unprepared" => greeter().before_all(|_| async { Err("the database is away".into()) }),
        "guard" => security::adapter(|message: Message, _| async move { is_abc(&message) }),
        "session guard" => security::adapter(has_session_of_admin),
        "sessions" => Service::new("").on("retrieve user session", |message: Message, context: Context| async move {
            let is_admin = message.payload::<String>()? == "abc";
            context.reply("user session retrieved", json!({ "isAdmin": is_admin.to_string() })).await?;
            Ok(())
        }),
        other => panic!("there is no sample service {other:?}"),
    };
    match service.run_from_env().await {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("{}", exorelay::chain(&error));
            Some(ExitCode::FAILURE)
        }
    }
}

fn is_abc(message: &Message) -> bool {
    message.auth.as_ref().is_some_and(|auth| auth.as_bytes() == "\"abc\"")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    is_admin: String,
}

async fn has_session_of_admin(message: Message, ask: Requester) -> Result<bool, HandlerError> {
    let auth: String = message.auth.ok_or("there is no auth")?.to()?;
    let session = ask.request("retrieve user session", auth, Duration::from_secs(10)).await?;
    Ok(session.name.as_str() == "user session retrieved" && session.payload::<Session>()?.is_admin == "true")
}

fn greeter() -> Service {
    Service::new("")
        .on("ping", |_, context: Context| async move {
            context.reply("pong", ()).await?;
            Ok(())
        })
        .on("ping it", |_, context: Context| async move {
            context.reply("pong it", ()).await?;
            Ok(())
        })
        .on("greet", |message: Message, context: Context| async move {
            let Greet { name } = message.payload()?;
            context.reply("greeting", json!({ "text": format!("Hello {name}") })).await?;
            Ok(())
        })
        .on("sender", |_, context: Context| async move {
            context.send("greetings", "from the sender service").await?;
            context.send("greetings again", "from the same").await?;
            Ok(())
        })
}

/// A service that answers with the state of its preparation.
fn prepared() -> Service {
    let is_prepared = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_prepared);
    let ping = move |_: Message, context: Context| {
        let prepared = seen.load(Ordering::Acquire);
        async move { Ok(context.reply("pong", json!({ "prepared": prepared })).await.map(drop)?) }
    };
    let prepare = |_: Relay| async move {
        is_prepared.store(true, Ordering::Release);
        Ok(())
    };
    Service::new("").on("ping", ping).before_all(prepare)
}
