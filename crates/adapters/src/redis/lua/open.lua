-- Founds the namespace if there is none. ARGV: the version of its layout that is written here, the oldest one that has to
-- be known to read what is written here, and a mark that no other founding has.
--
-- Answers which layout a reader has to know, and the mark of the founding.
local meta = P .. 'meta'
call('HSETNX', meta, 'layout', ARGV[2])
call('HSETNX', meta, 'min_reader', ARGV[3])
call('HSETNX', meta, 'founded', ARGV[4])
return call('HMGET', meta, 'min_reader', 'founded')
