# Hashes of arrays, regular expressions and sorting.
use strict;
use warnings;

my $total = 0;
for my $turn (1 .. int($ARGV[0] / 3) || 1) {
    my %lists;
    for my $number (1 .. 6000) {
        my $word = join "-", map { chr(97 + ($number * $_ + $turn) % 26) x ($_ + 1) } 1 .. 4;
        push @{ $lists{$word} }, { number => $number, text => "$word $number" };
    }
    my $text = join " ", map { $_->{text} } map { @$_ } @lists{ sort keys %lists };
    $total += () = $text =~ /([a-f]+)-/g;
    my @words = sort { length $a <=> length $b or $a cmp $b } split / /, $text;
    $total += length $words[-1];
}
print "$total\n";
