module gowrap

go 1.21
