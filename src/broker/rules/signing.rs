//! The sender of a message: signed with the role of the instance that sends it, then checked against what the caller proved.

use super::tokens::Proof;
use super::{Instance, Registry};
use crate::broker::Error;
use crate::message::{InstanceId, Message, Role, UNDELIVERED};

impl<H> Registry<H> {
    /// Signs a message that names no sender, and checks that the caller may use the sender's name. Without tokens everybody may
    /// use all. A message that is given back keeps its sender, and comes from the role of `origin`.
    ///
    /// Errors: [`Error::SenderToken`], [`Error::OtherSender`], [`Error::Anonymous`], [`Error::Reserved`].
    pub(crate) fn sign(
        &self,
        origin: Option<&InstanceId>,
        proof: Proof<'_>,
        message: &mut Message,
    ) -> Result<(), Error> {
        let instance = self.instance(origin);
        let is_returned = message.properties.returned;
        if message.sender.is_none() && !is_returned {
            message.sender = instance.map(|instance| instance.role.clone());
        }
        let tokens = self.tokens();
        if !tokens.are_set() {
            return Ok(());
        }
        if message.sender.is_none() && !is_returned {
            message.sender = proof.token().and_then(|token| tokens.role_of(token)).cloned();
        }
        if message.name.as_str() == UNDELIVERED {
            return Err(Error::Reserved { name: message.name.clone() });
        }
        match instance {
            Some(instance) => {
                self.check_role(instance, proof)?;
                let own = &instance.role;
                match message.sender.as_ref().filter(|sender| *sender != own && !is_returned) {
                    Some(sender) => Err(Error::OtherSender { sender: sender.clone(), role: own.clone() }),
                    None => self.check_asker(own, message),
                }
            }
            None => match message.sender.as_ref() {
                Some(sender) if tokens.permit(sender, proof.token()) => self.check_asker(sender, message),
                Some(sender) => Err(Error::SenderToken { role: sender.clone() }),
                None if tokens.protect_all() && !tokens.know(proof.token()) => Err(Error::Anonymous),
                None => Ok(()),
            },
        }
    }

    /// Checks that the caller is the instance, or has the token of its role.
    fn check_role(&self, instance: &Instance<H>, proof: Proof<'_>) -> Result<(), Error> {
        let is_itself = matches!(proof, Proof::Connection(_)) && instance.address().is_none();
        match is_itself || self.tokens().permit(&instance.role, proof.token()) {
            true => Ok(()),
            false => Err(Error::SenderToken { role: instance.role.clone() }),
        }
    }

    /// Checks that the replies to a request go to the sender's role.
    fn check_asker(&self, sender: &Role, message: &Message) -> Result<(), Error> {
        let asker = message.properties.reply_to.as_ref().and_then(|asker| self.instance(Some(&asker.instance)));
        match asker.filter(|asker| asker.role != *sender) {
            Some(asker) => Err(Error::OtherSender { sender: asker.role.clone(), role: sender.clone() }),
            None => Ok(()),
        }
    }
}
