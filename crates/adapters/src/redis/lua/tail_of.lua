-- The last output that is kept beside a record; empty if there is none. ARGV: id.
return { call('HGET', P .. 'b:' .. ARGV[2], 'tail') or '' }
