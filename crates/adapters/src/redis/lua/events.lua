-- Returns events after a cursor, oldest first. ARGV: cursor, maximum number.
return call('XRANGE', P .. 'ev', int(tonumber(ARGV[2]) + 1) .. '-0', '+', 'COUNT', ARGV[3])
