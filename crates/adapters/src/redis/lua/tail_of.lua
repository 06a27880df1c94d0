-- Returns the output tail that is stored with a record; '' if there is none. ARGV: id.
return { call('HGET', P .. 'b:' .. ARGV[2], 'tail') or '' }
