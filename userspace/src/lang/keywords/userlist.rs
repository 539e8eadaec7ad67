//! The `userlist` section (manual §12.2).

use super::args::{Args, Complaint, Parsed};
use super::registry::{Effect, Keyword, Sections};
use crate::model::{Password, User, Userlist};

/// A userlist while its lines are read.
#[derive(Debug, Default)]
pub(in crate::lang) struct UserlistDraft {
    name: String,
    users: Vec<User>,
    /// Groups with the users listed on their lines.
    groups: Vec<(String, Vec<String>)>,
}

impl UserlistDraft {
    /// A list without anybody in it.
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// The list, groups' users merged into users' groups; what names nobody is told.
    pub(crate) fn finish(mut self) -> Result<Userlist, String> {
        for (group, members) in &self.groups {
            for member in members {
                match self.users.iter_mut().find(|user| user.name == *member) {
                    Some(user) if user.groups.contains(group) => {}
                    Some(user) => user.groups.push(group.clone()),
                    None => {
                        return Err(format!(
                            "userlist '{}': no such user '{member}' specified in group '{group}'",
                            self.name
                        ));
                    }
                }
            }
        }
        for user in &self.users {
            let unknown = |group: &&String| !self.groups.iter().any(|(name, _)| name == *group);
            if let Some(group) = user.groups.iter().find(unknown) {
                return Err(format!(
                    "userlist '{}': no such group '{group}' specified in user '{}'",
                    self.name, user.name
                ));
            }
        }
        Ok(Userlist {
            name: self.name,
            users: self.users,
        })
    }
}

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "group",
        sections: Sections::USERLIST,
        args: "<groupname> [users <user>,<user>,(...)]",
        doc: "Declares a group.",
        effect: Effect::Userlist(|args, list| {
            let name = args.need("<name> as argument")?;
            if list.groups.iter().any(|(group, _)| *group == name.text) {
                return Err(Complaint::new(
                    name.span,
                    format!("group '{}' is declared twice", name.text),
                ));
            }
            let mut members = Vec::new();
            if args.take_if("users") {
                let users = args.need("a list of users")?;
                members = users.text.split(',').map(str::to_owned).collect();
            }
            args.end()?;
            list.groups.push((name.text.clone(), members));
            Ok(())
        }),
    },
    Keyword {
        name: "user",
        sections: Sections::USERLIST,
        args: "<username> [password|insecure-password <password>] [groups <group>,<group>,(...)]",
        doc: "Declares a user.",
        effect: Effect::Userlist(|args, list| {
            let user = user(args, list)?;
            list.users.push(user);
            Ok(())
        }),
    },
];

fn user(args: &mut Args<'_>, list: &UserlistDraft) -> Parsed<User> {
    let name = args.need("<name> as argument")?;
    if list.users.iter().any(|user| user.name == name.text) {
        return Err(Complaint::new(
            name.span,
            format!("user '{}' is declared twice", name.text),
        ));
    }
    let mut user = User {
        name: name.text.clone(),
        password: Password::Crypt(LOCKED.to_owned()),
        groups: Vec::new(),
    };
    while let Some(word) = args.take() {
        match word.text.as_str() {
            "password" => {
                let hash = args.need("a password")?;
                user.password = Password::Crypt(hash.text.clone());
            }
            "insecure-password" => {
                user.password = Password::Clear(args.need("a password")?.text.clone())
            }
            "groups" => {
                let groups = args.need("a list of groups")?;
                user.groups = groups.text.split(',').map(str::to_owned).collect();
            }
            _ => {
                let known = ["password", "insecure-password", "groups"];
                return Err(Complaint::unknown(word, "argument", known));
            }
        }
    }
    Ok(user)
}

/// No password has this hash: a user without a password cannot log in.
const LOCKED: &str = "!";
