-- states: rows
-- case: add-check
-- form: ADD CONSTRAINT CHECK
-- states: empty rows nulls duplicates
-- forward
ALTER TABLE users ADD CONSTRAINT users_balance_check CHECK (balance > -100);

-- case: add-check-unnamed
-- form: ADD CONSTRAINT CHECK (unnamed)
-- setup
ALTER TABLE users ADD CHECK (balance > -100);
-- forward
ALTER TABLE users ADD CHECK (balance > -99);
ALTER TABLE users ADD CHECK (balance > -98), ADD CONSTRAINT named CHECK (balance > -97);

-- case: add-two-unnamed
-- form: ADD CONSTRAINT CHECK (unnamed)
-- states: empty
-- expect: refused several constraints without a name
-- forward
ALTER TABLE users ADD COLUMN x int CHECK (x > 0), ADD CHECK (balance > -98);

-- case: add-check-refused-by-data
-- form: ADD CONSTRAINT CHECK
-- states: rows
-- expect: guarded is violated by some row
-- forward
ALTER TABLE users ADD CONSTRAINT old CHECK (age > 40);

-- case: add-check-not-valid
-- form: ADD CONSTRAINT NOT VALID
-- forward
ALTER TABLE users ADD CONSTRAINT old CHECK (age > 40) NOT VALID;

-- case: add-unique
-- form: ADD CONSTRAINT UNIQUE
-- forward
ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE (email);

-- case: add-unique-unnamed
-- form: ADD CONSTRAINT UNIQUE (unnamed)
-- forward
ALTER TABLE users ADD UNIQUE (email, age) DEFERRABLE INITIALLY DEFERRED;

-- case: add-unique-refused-by-data
-- form: ADD CONSTRAINT UNIQUE
-- states: duplicates
-- expect: guarded could not create unique index
-- forward
ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE (email);

-- case: add-key
-- form: ADD PRIMARY KEY
-- setup
CREATE TABLE items (id int, part int NOT NULL, code text);
INSERT INTO items VALUES (1, 1, 'a'), (2, 1, 'b');
-- forward
ALTER TABLE items ADD CONSTRAINT items_key PRIMARY KEY (id, part);

-- case: add-key-unnamed
-- form: ADD PRIMARY KEY
-- setup
CREATE TABLE items (id int, code text);
-- forward
ALTER TABLE items ADD PRIMARY KEY (id);

-- case: add-using-index
-- form: ADD CONSTRAINT USING INDEX
-- setup
CREATE UNIQUE INDEX users_mail ON users (email, id) WITH (fillfactor = 60);
COMMENT ON INDEX users_mail IS 'before';
-- forward
ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE USING INDEX users_mail;

-- case: add-key-using-index
-- form: ADD CONSTRAINT USING INDEX
-- setup
CREATE TABLE items (id int, code text);
CREATE UNIQUE INDEX items_idx ON items (id);
-- forward
ALTER TABLE items ADD PRIMARY KEY USING INDEX items_idx;

-- case: add-foreign-key
-- form: ADD FOREIGN KEY
-- states: empty rows foreign_keys
-- forward
ALTER TABLE orgs ADD owner int, ADD CONSTRAINT orgs_owner FOREIGN KEY (owner) REFERENCES users ON DELETE SET NULL;

-- case: add-foreign-key-unnamed
-- form: ADD FOREIGN KEY
-- forward
ALTER TABLE logs ADD user_id int;
ALTER TABLE logs ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID;

-- case: add-exclusion
-- form: ADD CONSTRAINT EXCLUDE
-- forward
ALTER TABLE orgs ADD CONSTRAINT apart EXCLUDE USING btree (name WITH =) WHERE (id > 3);

-- case: add-if-exists-missing
-- form: ALTER TABLE IF EXISTS
-- forward: changes nothing
-- forward
ALTER TABLE IF EXISTS nowhere ADD CONSTRAINT c CHECK (true), ADD CHECK (true), ADD CONSTRAINT k PRIMARY KEY (id);

-- case: add-in-family
-- form: ADD CONSTRAINT CHECK
-- setup
CREATE TABLE guests (CONSTRAINT grown CHECK (age > 1)) INHERITS (users);
CREATE TABLE friends () INHERITS (users);
-- forward
ALTER TABLE users ADD CONSTRAINT grown CHECK (age > 1);

-- case: drop-check
-- form: DROP CONSTRAINT
-- forward
ALTER TABLE users DROP CONSTRAINT users_age_check;

-- case: drop-check-of-list
-- form: DROP CONSTRAINT
-- setup
ALTER TABLE users ADD CONSTRAINT listed CHECK (name NOT IN ('it''s', 'b') AND name <> ALL ('{x,y}'));
COMMENT ON CONSTRAINT listed ON users IS 'bad names';
-- forward
ALTER TABLE users DROP CONSTRAINT listed;

-- case: drop-not-valid
-- form: DROP CONSTRAINT
-- setup
ALTER TABLE users ADD CONSTRAINT old CHECK (age > 40) NOT VALID;
-- forward
ALTER TABLE users DROP CONSTRAINT old;

-- case: drop-unique
-- form: DROP CONSTRAINT
-- setup
COMMENT ON CONSTRAINT orgs_name_key ON orgs IS 'one of each';
ALTER TABLE orgs CLUSTER ON orgs_name_key;
-- forward
ALTER TABLE orgs DROP CONSTRAINT orgs_name_key;

-- case: drop-unique-with-options
-- form: DROP CONSTRAINT
-- setup
CREATE TABLE items (id int, code text, note text, CONSTRAINT items_code UNIQUE (code) INCLUDE (note) WITH (fillfactor = 55) DEFERRABLE INITIALLY DEFERRED);
-- forward
ALTER TABLE items DROP CONSTRAINT items_code;

-- case: drop-key
-- form: DROP CONSTRAINT
-- states: empty rows foreign_keys
-- forward
ALTER TABLE orders DROP CONSTRAINT orders_pkey;

-- case: drop-key-referenced
-- form: DROP CONSTRAINT
-- states: empty
-- expect: guarded because other objects depend on it
-- forward
ALTER TABLE users DROP CONSTRAINT users_pkey;

-- case: drop-key-cascade
-- form: DROP CONSTRAINT CASCADE
-- states: empty rows foreign_keys
-- forward
ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE;

-- case: drop-foreign-key
-- form: DROP CONSTRAINT
-- states: empty rows foreign_keys
-- forward
ALTER TABLE orders DROP CONSTRAINT IF EXISTS orders_user_fkey;

-- case: drop-foreign-key-then-orphans
-- form: DROP CONSTRAINT
-- states: foreign_keys
-- expect: held violates foreign key constraint
-- forward
ALTER TABLE orders DROP CONSTRAINT orders_user_fkey;
-- since
INSERT INTO orders (user_id, total) VALUES (999, 1);

-- case: drop-exclusion
-- form: DROP CONSTRAINT
-- setup
ALTER TABLE orgs ADD CONSTRAINT apart EXCLUDE USING btree (name WITH =) WHERE (id > 3);
-- forward
ALTER TABLE orgs DROP CONSTRAINT apart;

-- case: drop-if-exists-missing
-- form: DROP CONSTRAINT IF EXISTS
-- forward: changes nothing
-- forward
ALTER TABLE users DROP CONSTRAINT IF EXISTS nothing;

-- case: drop-in-family
-- form: DROP CONSTRAINT
-- setup
CREATE TABLE guests () INHERITS (users);
-- forward
ALTER TABLE users DROP CONSTRAINT users_age_check;

-- case: drop-inherited
-- form: DROP CONSTRAINT
-- states: empty
-- expect: guarded is inherited
-- setup
CREATE TABLE guests () INHERITS (users);
-- forward
ALTER TABLE guests DROP CONSTRAINT users_age_check;

-- case: replaced
-- form: DROP CONSTRAINT
-- forward
ALTER TABLE users DROP CONSTRAINT users_age_check, ADD CONSTRAINT users_age_check CHECK (age BETWEEN 0 AND 150);

-- case: validate
-- form: VALIDATE CONSTRAINT
-- setup
ALTER TABLE users ADD CONSTRAINT young CHECK (age < 400) NOT VALID;
COMMENT ON CONSTRAINT young ON users IS 'not yet';
-- forward
ALTER TABLE users VALIDATE CONSTRAINT young;

-- case: validate-foreign-key
-- form: VALIDATE CONSTRAINT
-- setup
ALTER TABLE logs ADD user_id int, ADD CONSTRAINT logs_user FOREIGN KEY (user_id) REFERENCES users NOT VALID;
-- forward
ALTER TABLE logs VALIDATE CONSTRAINT logs_user;

-- case: validate-valid
-- form: VALIDATE CONSTRAINT
-- forward: changes nothing
-- forward
ALTER TABLE users VALIDATE CONSTRAINT users_age_check;

-- case: add-then-validate
-- form: VALIDATE CONSTRAINT
-- forward
ALTER TABLE users ADD CONSTRAINT young CHECK (age < 400) NOT VALID;
ALTER TABLE users VALIDATE CONSTRAINT young;

-- case: deferrable
-- form: ALTER CONSTRAINT
-- forward
ALTER TABLE orders ALTER CONSTRAINT orders_user_fkey DEFERRABLE INITIALLY DEFERRED;

-- case: rename
-- form: RENAME CONSTRAINT
-- forward
ALTER TABLE users RENAME CONSTRAINT users_age_check TO "Age";
ALTER TABLE orgs RENAME CONSTRAINT orgs_name_key TO orgs_unique_name;
