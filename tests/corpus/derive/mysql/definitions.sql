-- states: rows

-- case: column-drop-defaults
-- form: DROP COLUMN
-- setup
ALTER TABLE users ADD COLUMN said varchar(10) DEFAULT 'x''y' COMMENT 'it''s', ADD COLUMN bits bit(3) DEFAULT b'101';
ALTER TABLE users ADD COLUMN later datetime(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3);
ALTER TABLE users ADD COLUMN bytes varbinary(4) DEFAULT 'ab', ADD COLUMN none varchar(5) NOT NULL DEFAULT '';
-- options: clock
-- forward
ALTER TABLE users DROP COLUMN said, DROP COLUMN bits, DROP COLUMN none;
ALTER TABLE users DROP COLUMN bytes, DROP COLUMN later;

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
