-- states: rows

-- case: column-drop-defaults
-- form: DROP COLUMN
-- setup
ALTER TABLE users ADD COLUMN said varchar(10) DEFAULT 'x''y' COMMENT 'it''s', ADD COLUMN bits bit(3) DEFAULT b'101';
ALTER TABLE users ADD COLUMN later datetime(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3);
ALTER TABLE users ADD COLUMN none varchar(5) NOT NULL DEFAULT '';
-- options: clock
-- forward
ALTER TABLE users DROP COLUMN said, DROP COLUMN bits, DROP COLUMN none;
ALTER TABLE users DROP COLUMN later;

-- case: column-drop-calculated-default
-- form: DROP COLUMN
-- setup
ALTER TABLE users ADD COLUMN facts json DEFAULT (json_object('k', 'v')), ADD COLUMN sum int DEFAULT (1 + 2);
-- forward
ALTER TABLE users DROP COLUMN facts, DROP COLUMN sum;

-- case: column-drop-calculated-from-a-text
-- form: DROP COLUMN
-- setup
ALTER TABLE users ADD COLUMN shown varchar(200) GENERATED ALWAYS AS (concat(email, '-x')) STORED;
-- forward
ALTER TABLE users DROP COLUMN shown;

-- case: column-modify-defaults
-- form: MODIFY
-- setup
ALTER TABLE users ADD COLUMN said varchar(10) DEFAULT 'x''y' COMMENT 'it''s', ADD COLUMN bits bit(3) DEFAULT b'101';
ALTER TABLE users ADD COLUMN sum int DEFAULT (1 + 2);
-- forward
ALTER TABLE users MODIFY said varchar(20), MODIFY bits bit(3), MODIFY sum bigint NOT NULL DEFAULT 5;

-- case: default-set-and-dropped
-- form: ALTER COLUMN SET DEFAULT
-- setup
ALTER TABLE users ADD COLUMN said varchar(10) DEFAULT 'x''y', ADD COLUMN none int, ADD COLUMN sum int DEFAULT (1 + 2);
-- forward
ALTER TABLE users ALTER COLUMN said SET DEFAULT 'z', ALTER COLUMN none SET DEFAULT 3, ALTER COLUMN sum DROP DEFAULT;

-- case: check-drop-of-a-text
-- form: DROP CONSTRAINT
-- setup
ALTER TABLE users ADD CONSTRAINT no_cat CHECK (email <> 'cat' AND email <> 'dog');
-- forward
ALTER TABLE users DROP CONSTRAINT no_cat;

-- case: check-drop-of-a-backslash
-- form: DROP CONSTRAINT
-- mysql: holds a backslash
-- setup
ALTER TABLE users ADD CONSTRAINT no_cat CHECK (email <> 'ca\\t');
-- forward
ALTER TABLE users DROP CONSTRAINT no_cat;

-- case: check-drop-not-enforced
-- form: DROP CONSTRAINT
-- mysql: only
-- setup
ALTER TABLE users ADD CONSTRAINT no_cat CHECK (email <> 'cat') NOT ENFORCED;
-- forward
ALTER TABLE users DROP CHECK no_cat;

-- case: column-drop-with-a-check
-- form: DROP COLUMN
-- mysql: only
-- setup
ALTER TABLE users ADD COLUMN size int DEFAULT 3, ADD CONSTRAINT sized CHECK (size > 1);
-- forward
ALTER TABLE users DROP COLUMN size;

-- case: index-drop-invisible
-- form: DROP INDEX
-- mysql: only
-- setup
ALTER TABLE users ADD INDEX unseen (email) COMMENT 'it''s' INVISIBLE;
-- forward
DROP INDEX unseen ON users;

-- case: index-drop-over-an-expression
-- form: DROP INDEX
-- mysql: only
-- expect: guarded lowered is an index of users over an expression
-- setup
ALTER TABLE users ADD INDEX lowered ((lower(email)));
-- forward
DROP INDEX lowered ON users;

-- case: column-drop-of-an-index-over-an-expression
-- form: DROP COLUMN
-- mysql: only
-- expect: guarded an index over an expression is of note too
-- setup
ALTER TABLE users ADD INDEX lowered ((lower(email)), note(5));
-- forward
ALTER TABLE users DROP COLUMN note;

-- case: column-modify-with-a-check
-- form: MODIFY
-- mysql: MySQL makes a check of users by itself
-- forward
ALTER TABLE users MODIFY age int CHECK (age > -5);

-- case: column-drop-invisible
-- form: DROP COLUMN
-- setup
ALTER TABLE users ADD COLUMN hidden int DEFAULT 3 INVISIBLE;
-- forward
ALTER TABLE users DROP COLUMN hidden;

-- case: view-replaced
-- form: CREATE OR REPLACE VIEW
-- setup
CREATE SQL SECURITY INVOKER VIEW cats AS SELECT id, 'it''s' AS said FROM users WHERE id < 100 WITH LOCAL CHECK OPTION;
-- forward
CREATE OR REPLACE VIEW cats AS SELECT 1 AS one;

-- case: column-drop-binary-default
-- form: DROP COLUMN
-- mysql: users.bytes has a binary default
-- setup
ALTER TABLE users ADD COLUMN bytes varbinary(4) DEFAULT 'ab';
-- forward
ALTER TABLE users DROP COLUMN bytes;

-- case: column-drop-of-a-date
-- form: DROP COLUMN
-- setup
CREATE TABLE days (id int PRIMARY KEY, day date NOT NULL, at datetime(3) NOT NULL, other date);
INSERT INTO days VALUES (1, '2025-01-31', '2025-01-31 12:00:00.5', NULL), (2, '2024-02-29', '2024-02-29 01:00:00', '2020-01-01');
-- forward
ALTER TABLE days DROP COLUMN day, DROP COLUMN at;
ALTER TABLE days DROP COLUMN other;

-- case: key-calculated
-- form: DROP COLUMN
-- mysql: only
-- expect: guarded the primary key of pairs is calculated from others
-- setup
CREATE TABLE pairs (a int, b int NOT NULL, c int, g int AS (a + 1) STORED NOT NULL, PRIMARY KEY (b, g));
INSERT INTO pairs (a, b, c) VALUES (1, 1, 10), (2, 1, 20);
-- forward
ALTER TABLE pairs DROP COLUMN c;

-- case: key-descending
-- form: DROP PRIMARY KEY
-- setup
CREATE TABLE pairs (a int NOT NULL, b int NOT NULL, PRIMARY KEY (b DESC, a) COMMENT 'it''s');
-- forward
ALTER TABLE pairs DROP PRIMARY KEY;

-- case: column-drop-calculated-and-never-null
-- form: DROP COLUMN
-- mysql: only
-- setup
ALTER TABLE users ADD COLUMN grown int AS (age + 1) VIRTUAL NOT NULL;
-- forward
ALTER TABLE users DROP COLUMN grown;

-- case: column-drop-of-other-letters
-- form: DROP COLUMN
-- mysql: users.shown holds letters
-- setup
ALTER TABLE users ADD COLUMN shown varchar(300) AS (concat(name, 'é日')) STORED;
-- forward
ALTER TABLE users DROP COLUMN shown;

-- case: column-drop-of-letters-of-four-bytes
-- form: DROP COLUMN
-- expect: guarded users.face holds letters
-- mysql: users.face holds letters
-- setup
ALTER TABLE users ADD COLUMN face enum('😀', 'c') CHARACTER SET utf8mb4 DEFAULT 'c';
-- forward
ALTER TABLE users DROP COLUMN face;

-- case: column-drop-spelt-in-other-letters
-- form: DROP COLUMN
-- setup
ALTER TABLE users ADD COLUMN Zed int DEFAULT 3, ADD CONSTRAINT zeds CHECK (zed > 1 AND zed <> 5);
-- forward
ALTER TABLE users DROP COLUMN ZED;

-- case: column-drop-beside-a-check-of-a-text
-- form: DROP COLUMN
-- setup
ALTER TABLE users ADD COLUMN z int, ADD CONSTRAINT z1 CHECK (name <> '`z`');
-- forward
ALTER TABLE users DROP COLUMN z;

-- case: columns-drop-of-one-check
-- form: DROP COLUMN
-- mysql: lacks
-- setup
ALTER TABLE users ADD COLUMN y int DEFAULT 1, ADD COLUMN z int DEFAULT 2, ADD CONSTRAINT both_of_them CHECK (z > y);
-- forward
ALTER TABLE users DROP COLUMN y, DROP COLUMN z;

-- case: column-modify-spelt-in-other-letters
-- form: MODIFY
-- forward
ALTER TABLE users MODIFY NOTE mediumtext;

-- case: column-modify-to-calculated
-- form: MODIFY
-- mysql: the values of users.note would be others
-- expect: guarded the values of users.note would be others
-- forward
ALTER TABLE users MODIFY note text GENERATED ALWAYS AS (concat(email, 'z')) STORED;

-- case: column-modify-to-counting
-- form: MODIFY
-- mysql: values of slots.b may change
-- expect: guarded values of slots.b may change
-- setup
CREATE TABLE slots (a int PRIMARY KEY, b int UNIQUE);
-- forward
ALTER TABLE slots MODIFY b int NOT NULL AUTO_INCREMENT;

-- case: default-of-now-dropped
-- form: ALTER COLUMN DROP DEFAULT
-- setup
ALTER TABLE users ADD COLUMN made datetime(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3);
-- options: clock
-- forward
ALTER TABLE users ALTER COLUMN made SET DEFAULT '2025-01-31 00:00:00';

-- case: index-drop-with-a-backslash
-- form: DROP INDEX
-- expect: guarded the comment of told holds a backslash
-- mysql: the comment of told holds a backslash
-- setup
ALTER TABLE users ADD INDEX told (age, id) COMMENT 'a\\b';
-- forward
DROP INDEX told ON users;

-- case: index-drop-spatial
-- form: DROP INDEX
-- setup
CREATE TABLE places (id int PRIMARY KEY, at point NOT NULL, SPATIAL INDEX places_at (at));
-- forward
DROP INDEX places_at ON places;

-- case: index-drop-of-the-key
-- form: DROP INDEX
-- expect: refused primary key by the name
-- forward
DROP INDEX `PRIMARY` ON orgs;

-- case: column-drop-with-a-default-of-others
-- form: DROP COLUMN
-- mysql: the default of users.more is made of other columns
-- setup
ALTER TABLE users ADD COLUMN more int DEFAULT (age + 1);
-- forward
ALTER TABLE users DROP COLUMN more;

-- case: view-drop-with-names
-- form: DROP VIEW
-- setup
CREATE VIEW named (a, b) AS SELECT id, email FROM users;
-- forward
DROP VIEW named;

-- case: view-replaced-when-broken
-- form: CREATE OR REPLACE VIEW
-- expect: guarded what the view cats stands on is gone
-- mysql: what the view cats stands on is gone
-- setup
CREATE VIEW cats AS SELECT id, note FROM users;
-- forward
ALTER TABLE users RENAME COLUMN note TO told;
CREATE OR REPLACE VIEW cats AS SELECT id, told FROM users;

-- case: views-drop-of-each-other
-- form: DROP VIEW
-- expect: guarded stands on another that is dropped with it
-- mysql: stands on another that is dropped with it
-- setup
CREATE VIEW cats AS SELECT id FROM users; CREATE VIEW cats_2 AS SELECT id FROM cats;
-- forward
DROP VIEW cats, cats_2;

-- case: index-in-place-of-an-unnamed-keys
-- form: CREATE INDEX
-- mysql: an index of a foreign key of kids may go
-- setup
CREATE TABLE kids (id int PRIMARY KEY, o2 int, c int, FOREIGN KEY (o2) REFERENCES orgs (id));
-- forward
CREATE INDEX better ON kids (o2, c);

-- case: key-beside-another
-- form: ADD FOREIGN KEY
-- expect: guarded an index of a foreign key of kids may go
-- mysql: an index of a foreign key of kids may go
-- setup
CREATE TABLE kids (id int PRIMARY KEY, o2 int, c int, FOREIGN KEY (o2) REFERENCES orgs (id));
-- forward
ALTER TABLE kids ADD CONSTRAINT k2 FOREIGN KEY (o2) REFERENCES orgs (id);

-- case: primary-key-of-a-keys-column
-- form: ADD PRIMARY KEY
-- expect: guarded an index of a foreign key of kids may go
-- mysql: an index of a foreign key of kids may go
-- setup
CREATE TABLE kids (o2 int NOT NULL, c int NOT NULL, FOREIGN KEY (o2) REFERENCES orgs (id));
-- forward
ALTER TABLE kids ADD PRIMARY KEY (o2, c);

-- case: foreign-key-drop-unnamed
-- form: DROP FOREIGN KEY
-- setup
CREATE TABLE kids (id int PRIMARY KEY, o2 int, c int, FOREIGN KEY (o2) REFERENCES orgs (id));
-- forward
ALTER TABLE kids DROP FOREIGN KEY kids_ibfk_1;

-- case: foreign-key-drop-with-its-index
-- form: DROP FOREIGN KEY
-- setup
CREATE TABLE kids (id int PRIMARY KEY, o2 int, c int, FOREIGN KEY (o2) REFERENCES orgs (id));
-- forward
ALTER TABLE kids DROP FOREIGN KEY kids_ibfk_1, DROP INDEX o2;

-- case: foreign-key-drop-with-its-column
-- form: DROP FOREIGN KEY
-- setup
CREATE TABLE kids (id int PRIMARY KEY, o2 int, c int, FOREIGN KEY (o2) REFERENCES orgs (id));
INSERT INTO kids SELECT id, id, 5 FROM orgs;
-- forward
ALTER TABLE kids DROP FOREIGN KEY kids_ibfk_1, DROP COLUMN o2;

-- case: foreign-key-drop-then-its-index
-- form: DROP FOREIGN KEY
-- setup
CREATE TABLE kids (id int PRIMARY KEY, o2 int, c int, CONSTRAINT named FOREIGN KEY (o2) REFERENCES orgs (id));
-- forward
ALTER TABLE kids DROP FOREIGN KEY named;
ALTER TABLE kids DROP INDEX named;
