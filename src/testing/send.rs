//! Sending: what a test says about a message, and the way it goes.

use std::future::IntoFuture;
use std::sync::Weak;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Request, Uri};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use serde::Serialize;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Error;
use super::broker::Shared;
use super::record::{Known, Way};
use super::socket::FRAMES_WAITING_MAX;
use crate::broker::{Stamp, delivery_frame};
use crate::http::{Client, ClientError, join};
use crate::message::{ActivityId, Message, MessageId, MessageName, Payload, Role, path_segment};

/// A message about to be sent to a service: await it. Over HTTP that waits for the service's answer, over a WebSocket
/// for nothing.
///
/// Gives the message as it was sent, with its ids. Errors: [`Error::UnknownService`], [`Error::Text`],
/// [`Error::Payload`], [`Error::Away`] when nobody answers over HTTP, [`Error::Busy`] when a connected service does not
/// read. An answer that refuses the message is no error: see [`super::MockBroker::last_response_code`].
#[must_use = "nothing is sent until this is awaited"]
pub struct Sending<'a> {
    shared: &'a Shared,
    draft: Result<(Role, Message), Error>,
}

impl<'a> Sending<'a> {
    pub(super) fn new<N>(shared: &'a Shared, role: &str, name: N) -> Self
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        let draft = || {
            let mut message = Message::new(MessageId::from_uuid(Uuid::now_v7()), name.try_into()?);
            message.activity_id = Some(message.conversation());
            Ok((Role::parse(role)?, message))
        };
        Self { shared, draft: draft() }
    }

    fn with(mut self, change: impl FnOnce(&mut Message) -> Result<(), Error>) -> Self {
        self.draft = self.draft.and_then(|(role, mut message)| change(&mut message).map(|()| (role, message)));
        self
    }

    /// Gives it a payload; `()` and `null` mean none.
    pub fn payload(self, payload: impl Serialize) -> Self {
        self.with(|message| {
            message.payload = json_of(&message.name, "the payload", &payload)?;
            Ok(())
        })
    }

    /// Puts it into a conversation; without this it opens one.
    pub fn activity(self, activity: &str) -> Self {
        self.with(|message| {
            message.activity_id = Some(ActivityId::parse(activity)?);
            Ok(())
        })
    }

    /// Says on whose behalf it is sent.
    pub fn auth(self, auth: impl Serialize) -> Self {
        self.with(|message| {
            message.auth = json_of(&message.name, "auth", &auth)?;
            Ok(())
        })
    }

    /// Marks it as one of the security side channel.
    pub fn security(self) -> Self {
        self.with(|message| {
            message.is_security = true;
            Ok(())
        })
    }

    /// Gives it an id of the test's choice.
    pub fn id(self, id: &str) -> Self {
        self.with(|message| {
            message.id = MessageId::parse(id)?;
            Ok(())
        })
    }

    /// Marks it as the answer to the message with this id. Relays of the HTTP era find requests by it; those of the
    /// WebSocket era by [`Sending::activity`].
    pub fn in_reply_to(self, id: &str) -> Self {
        self.with(|message| {
            message.response_to = Some(MessageId::parse(id)?);
            Ok(())
        })
    }

    /// Names its sender, which brokers of the HTTP era do not tell.
    pub fn sender(self, role: &str) -> Self {
        self.with(|message| {
            message.sender = Some(Role::parse(role)?);
            Ok(())
        })
    }
}

impl<'a> IntoFuture for Sending<'a> {
    type Output = Result<Message, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let (role, message) = self.draft?;
            let service = self.shared.record().find(&role).cloned();
            let service = service.ok_or_else(|| Error::UnknownService(role.clone()))?;
            match &service.way {
                Way::Socket { .. } => push(&service, &message)?,
                Way::Http { url } => {
                    let status = post(&self.shared.client, url, &message).await;
                    let name = message.name.clone();
                    let status = status.map_err(|cause| Error::Away { role, name, cause })?;
                    self.shared.record().last_response_code = Some(status);
                }
            }
            Ok(message)
        }
        .boxed()
    }
}

/// Puts a message into the queue of a connection. A connection that has just ended counts as an unknown service.
pub(super) fn push(service: &Known, message: &Message) -> Result<(), Error> {
    let role = service.role.clone();
    let Way::Socket { dialect, frames, .. } = &service.way else { return Err(Error::UnknownService(role)) };
    let stamp = Stamp { timestamp: std::time::SystemTime::now(), response_time: None };
    frames.try_send(delivery_frame(message, *dialect, Some(&stamp))).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => Error::Busy { role, frames_max: FRAMES_WAITING_MAX },
        mpsc::error::TrySendError::Closed(_) => Error::UnknownService(role),
    })
}

/// Delivers as a broker of the HTTP era does, and gives the status of the answer.
async fn post(client: &Client, url: &str, message: &Message) -> Result<u16, ClientError> {
    let uri = join(url, &format!("/run/{}", path_segment(message.name.as_str())))?;
    let mut request = Request::post(uri).body(Full::new(message.to_json())).expect("the URL is one by now");
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(client.call(request).await?.status.as_u16())
}

/// Brings answers to services that listen over HTTP, one by one, until the mock is gone.
pub(super) async fn deliver_answers(shared: Weak<Shared>, mut answers: mpsc::Receiver<(Known, Message)>) {
    while let Some((service, answer)) = answers.recv().await {
        let (Some(shared), Way::Http { url }) = (shared.upgrade(), &service.way) else { return };
        let (role, name) = (&service.role, &answer.name);
        match post(&shared.client, url, &answer).await {
            Ok(200..=299) => {}
            Ok(status) => shared.complain(format!("'{role}' answered {status} to the answer '{name}'")),
            Err(error) => shared.complain(format!("the answer '{name}' did not reach '{role}': {error}")),
        }
    }
}

/// The base URL of a service. Errors: [`Error::Address`].
pub(super) fn service_url(address: &str) -> Result<String, Error> {
    let wrong = || Error::Address { address: address.to_owned() };
    let url = match address.contains("://") {
        true => address.to_owned(),
        false => format!("http://{address}"),
    };
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let whole = uri.scheme_str() == Some("http") && uri.port_u16().is_some() && uri.query().is_none();
    if whole { Ok(url) } else { Err(wrong()) }
}

/// The JSON of a value; `None` for `null`, as the originals have it.
pub(super) fn json_of(
    name: &MessageName,
    field: &'static str,
    value: &impl Serialize,
) -> Result<Option<Payload>, Error> {
    let json = Payload::of(value).map_err(|cause| Error::Payload { name: name.clone(), field, cause })?;
    Ok(Some(json).filter(|json| !json.is_null()))
}
