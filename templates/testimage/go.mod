module gobuild.invalid/testimage

go 1.21
