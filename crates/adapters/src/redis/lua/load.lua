-- Returns the records of the given ids, in the same order. ARGV: ids.
local rows = {}
for i = 2, #ARGV do rows[#rows + 1] = record(ARGV[i]) end
return rows
