//! Calls over NATS request/reply: all of them share one client and its connection, which is how its users do it.

use std::net::SocketAddr;

use async_nats::Client;
use bytes::Bytes;

use super::Call;
use crate::error::Error;

/// The server whose subject `echo` answers with the payload.
#[derive(Clone, Debug)]
pub struct NatsTarget {
    /// The server's client port.
    pub server: SocketAddr,
}

/// One call in flight on the shared connection.
pub struct NatsCaller {
    client: Client,
    payload: Bytes,
}

impl NatsTarget {
    /// Opens one connection for as many callers as there shall be calls in flight.
    pub async fn callers(&self, count: usize, payload: &Bytes) -> Result<Vec<NatsCaller>, Error> {
        let connected = async_nats::connect(self.server.to_string()).await;
        let client = connected.map_err(|error| Error::Nats(error.to_string()))?;
        Ok(NatsCaller::sharing(&client, count, payload))
    }
}

impl NatsCaller {
    /// As many callers as there shall be calls in flight, all on the connection of `client`.
    pub fn sharing(client: &Client, count: usize, payload: &Bytes) -> Vec<Self> {
        (0..count).map(|_| Self { client: client.clone(), payload: payload.clone() }).collect()
    }
}

impl Call for NatsCaller {
    async fn call(&mut self) -> Result<(), String> {
        let answer = self.client.request("echo", self.payload.clone()).await.map_err(|error| error.to_string())?;
        if answer.payload != self.payload {
            return Err("the answer is not the payload".to_owned());
        }
        Ok(())
    }
}
