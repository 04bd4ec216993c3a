# A plugin of pt-online-schema-change for the delivery log (docs/operations.md, Upgrade).
package pt_online_schema_change_plugin;
use strict;
sub new { my ($class, %args) = @_; return bless {%args}, $class; }
# The running version writes NULL where it has no code.
sub after_alter_new_table {
    my ($self, %args) = @_;
    foreach my $event ('INSERT', 'UPDATE') {
        $self->{cxn}->dbh()->do(
            "CREATE TRIGGER higo_code_" . lc($event) . " BEFORE $event ON $args{new_tbl}->{name}"
            . " FOR EACH ROW SET NEW.provider_code = COALESCE(NEW.provider_code, '')");
    }
}
1;
