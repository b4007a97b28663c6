CREATE TABLE orgs (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, plan TEXT DEFAULT 'free');
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    org_id INTEGER REFERENCES orgs (id),
    email TEXT NOT NULL COLLATE NOCASE,
    name varchar(80) DEFAULT 'nobody',
    age int CHECK (age >= 0),
    balance NUMERIC NOT NULL DEFAULT 0,
    note TEXT
);
CREATE INDEX users_email ON users (email DESC) WHERE note IS NOT NULL;
CREATE TABLE logs (at, message TEXT);
CREATE TABLE codes (code TEXT NOT NULL PRIMARY KEY, meaning) WITHOUT ROWID;
CREATE VIEW grown AS SELECT id, email FROM users WHERE age > 17;
