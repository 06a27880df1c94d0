-- For what has to go on where there is no more memory: ends, stops, signs of life. A server refuses what needs memory
-- only until a script has written anything; this writes nothing and counts.
call('DEL', P .. 'empty')
