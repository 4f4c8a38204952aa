//! What is asked of disk stores beyond the contract.

mod damaged;
mod failing;
mod keeping;
mod large;
