//! Process life: going to the background, giving up privileges.

pub mod background;
pub mod limits;
pub mod listeners;
pub mod privileges;
mod sys;
