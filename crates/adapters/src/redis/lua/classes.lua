-- The lanes in which anybody waits.
return call('HKEYS', P .. 'classes')
